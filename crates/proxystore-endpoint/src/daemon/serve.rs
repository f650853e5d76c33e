//! What is done for one client.

use super::socket::{Socket, Stream};
use super::status::Service;
use crate::object::{Draft, Object, SHARED_ABOVE};
use crate::objects::{self, Objects};
use crate::remote::{Allowed, Answer as Future, PeerName, Remote};
use crate::wire::{Answer, Prefix, Request, UNASKED};
use proxystore::{Error, ErrorKind, Key, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a new client may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How often a client is told that its answer is being worked on.
const SIGN: Duration = Duration::from_secs(2);
/// Names of objects in one answer.
const KEYS: usize = 1000;

/// Serves a client until it goes.
pub(super) async fn serve(service: Arc<Service>, stream: Stream, token: Option<Arc<str>>) {
    let mut client = Client {
        socket: Socket::new(stream),
        service,
        offered: None,
    };
    client.service.connections.fetch_add(1, Relaxed);
    let ended = client.run(token.as_deref()).await;
    client.service.connections.fetch_sub(1, Relaxed);
    if let Err(error) = ended {
        // Best effort: whoever sends garbage may not read either.
        client.socket.farewell(&error).await;
        client.service.refused.fetch_add(1, Relaxed);
    }
}

struct Client {
    socket: Socket,
    service: Arc<Service>,
    /// Room for the object that was offered, lent to the client if it is shared.
    offered: Option<Draft>,
}

impl Client {
    /// An error ends the connection.
    async fn run(&mut self, token: Option<&str>) -> Result<()> {
        let mut fields = Vec::new();
        let hello = self.introduction(&mut fields, token);
        match tokio::time::timeout(INTRODUCTION, hello).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "no greeting came within 5 seconds",
                ));
            }
        }
        while let Some(prefix) = self.socket.receive(&mut fields).await? {
            self.service.requests.fetch_add(1, Relaxed);
            let request = Request::decode(prefix, &fields)?;
            self.answer(prefix, request).await?;
        }
        Ok(())
    }

    /// False if the client went without a word.
    async fn introduction(&mut self, fields: &mut Vec<u8>, token: Option<&str>) -> Result<bool> {
        let Some(prefix) = self.socket.receive(fields).await? else {
            return Ok(false);
        };
        let Request::Hello { token: given } = Request::decode(prefix, fields)? else {
            return Err(Error::new(
                ErrorKind::InvalidFrame,
                "a greeting comes first",
            ));
        };
        if token.is_some_and(|token| !is_same(token.as_bytes(), given.as_bytes())) {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "the token is not that of the endpoint's folder",
            ));
        }
        let answer = Answer::Hello {
            uuid: self.service.uuid.clone(),
            limit: self.service.objects.limit(),
        };
        self.socket.send(&answer).await?;
        Ok(true)
    }

    async fn answer(&mut self, prefix: Prefix, request: Request<'_>) -> Result<()> {
        match request {
            Request::Get { peer, key, shared } => {
                let found = self.get(peer, key).await;
                return self.send_object(found, shared).await;
            }
            Request::Offer {
                peer,
                key,
                len,
                shared,
            } => return self.offer(peer, key, len, shared).await,
            Request::Put {
                peer,
                key,
                shared,
                len,
            } => {
                let object = if shared {
                    self.lent(len)
                } else {
                    self.body(prefix.body).await?
                };
                let put = match object {
                    Ok(object) => self.put(peer, key, object).await,
                    Err(error) => Err(error),
                };
                return self.say(put.map(|()| Answer::Done)).await;
            }
            _ => {}
        }
        let answer = self.simple(request).await;
        self.say(answer).await
    }

    async fn simple(&mut self, request: Request<'_>) -> Result<Answer> {
        let service = Arc::clone(&self.service);
        match request {
            Request::Exists { peer, key } => {
                let found = match self.remote(peer)? {
                    None => service.objects.exists(key),
                    Some((remote, peer)) => self.patiently(remote.exists(&peer, key)).await?,
                };
                Ok(Answer::Flag(found))
            }
            Request::Evict { peer, key } => {
                match self.remote(peer)? {
                    None => objects::evict(&service.shared_objects(), key).await?,
                    Some((remote, peer)) => self.patiently(remote.evict(&peer, key)).await?,
                }
                Ok(Answer::Done)
            }
            Request::Keys { after } => Ok(Answer::Keys(service.objects.keys(after, KEYS))),
            Request::Clear => {
                let storage = Arc::clone(&service.objects);
                objects::blocking(move || storage.clear()).await?;
                Ok(Answer::Done)
            }
            Request::Status => Ok(Answer::Records(vec![service.status()])),
            Request::Peers => Ok(Answer::Records(service.peers())),
            Request::PeerList => Ok(Answer::Records(service.allowed())),
            Request::PeerAdd {
                key,
                uuid,
                label,
                addresses,
            } => {
                let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                service.known_remote()?.add(Allowed {
                    key: key.to_owned(),
                    uuid: text(uuid),
                    label: text(label),
                    addresses: addresses.split_whitespace().map(str::to_owned).collect(),
                })?;
                Ok(Answer::Done)
            }
            Request::PeerRemove { name } => {
                if service.known_remote()?.remove(&PeerName::new(name)?)? {
                    return Ok(Answer::Done);
                }
                Err(Error::new(
                    ErrorKind::InvalidConfig,
                    format!("{name} is not on the list of peers"),
                ))
            }
            Request::Hello { .. } | Request::Get { .. } => {
                Err(Error::new(ErrorKind::InvalidFrame, "a second greeting"))
            }
            Request::Put { .. } | Request::Offer { .. } => Err(Error::new(
                ErrorKind::InvalidFrame,
                "an object out of place",
            )),
        }
    }

    /// The other endpoint that a request names, unless that is this one.
    fn remote(&self, peer: &str) -> Result<Option<(Arc<dyn Remote>, PeerName)>> {
        if peer.is_empty() || self.service.is_me(peer) {
            return Ok(None);
        }
        let name = PeerName::new(peer)?;
        Ok(Some((self.service.known_remote()?, name)))
    }

    /// Waits for a peer, and tells the client so. If the client goes, the call ends.
    async fn patiently<T>(&mut self, mut call: Future<'_, T>) -> Result<T> {
        loop {
            match tokio::time::timeout(SIGN, &mut call).await {
                Ok(result) => return result,
                Err(_) => self.socket.send(&Answer::Wait).await?,
            }
        }
    }

    async fn get(&mut self, peer: &str, key: &str) -> Result<Option<Object>> {
        match self.remote(peer)? {
            None => objects::get(&self.service.shared_objects(), key).await,
            Some((remote, peer)) => self.patiently(remote.get(&peer, key)).await,
        }
    }

    async fn put(&mut self, peer: &str, key: &str, object: Object) -> Result<()> {
        let len = object.len() as u64;
        match self.remote(peer)? {
            None => {
                // Every key that is held has a form that every other connector takes too.
                Key::new(key)?;
                objects::put(&self.service.shared_objects(), key, object).await?;
            }
            Some((remote, peer)) => self.patiently(remote.put(&peer, key, object)).await?,
        }
        self.service.bytes_in.fetch_add(len, Relaxed);
        Ok(())
    }

    /// Makes room for an object that is about to come, or says why it may not.
    async fn offer(&mut self, peer: &str, key: &str, len: u64, shared: bool) -> Result<()> {
        self.offered = None;
        let accepted = match self.accept(peer, key, len).await {
            Ok(draft) => draft,
            Err(error) => return self.socket.send(&Answer::failed(&error)).await,
        };
        let lent = if shared && self.socket.passes_descriptors() {
            accepted.lend()
        } else {
            None
        };
        self.offered = Some(accepted);
        let answer = Answer::Accepted {
            shared: lent.is_some(),
        };
        match lent {
            Some(descriptor) => {
                use std::os::fd::AsFd;
                let message = answer.encode(0);
                self.socket
                    .send_descriptor(&message, descriptor.as_fd())
                    .await
            }
            None => self.socket.send(&answer).await,
        }
    }

    async fn accept(&mut self, peer: &str, key: &str, len: u64) -> Result<Draft> {
        match self.remote(peer)? {
            None => {
                Key::new(key)?;
                self.service.objects.check(len)?;
            }
            Some((remote, peer)) => self.patiently(remote.check(&peer, len)).await?,
        }
        Draft::new(len)
    }

    /// What the client wrote into the memory that it was lent.
    fn lent(&mut self, len: u64) -> Result<Object> {
        match self.offered.take() {
            Some(draft) if draft.len() == len => draft.returned(),
            _ => Err(Error::new(
                ErrorKind::InvalidFrame,
                "an object in memory that was not lent",
            )),
        }
    }

    /// The body of a put. The outer error ends the connection.
    async fn body(&mut self, len: u64) -> Result<Result<Object>> {
        let draft = match self.offered.take() {
            Some(draft) if draft.len() == len => Ok(draft),
            _ if len <= UNASKED => self
                .service
                .objects
                .check(len)
                .and_then(|()| Draft::new(len)),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidFrame,
                    "a large object that was not offered",
                ));
            }
        };
        let draft = match draft {
            Ok(draft) => draft,
            Err(error) => {
                self.socket.skip(len).await?;
                return Ok(Err(error));
            }
        };
        let mut slot = draft.slot(0, len)?;
        while !slot.is_empty() {
            let got = self.socket.some(&mut slot).await?;
            slot.mark(got);
        }
        drop(slot);
        Ok(draft.finish())
    }

    async fn send_object(&mut self, found: Result<Option<Object>>, shared: bool) -> Result<()> {
        let object = match found {
            Ok(Some(object)) => object,
            Ok(None) => return self.socket.send(&Answer::Missing).await,
            Err(error) => return self.socket.send(&Answer::failed(&error)).await,
        };
        let len = object.len() as u64;
        self.service.bytes_out.fetch_add(len, Relaxed);
        if shared
            && object.len() > SHARED_ABOVE
            && self.socket.passes_descriptors()
            && let Some(Ok(descriptor)) = object.descriptor()
        {
            let message = Answer::Object { shared: true, len }.encode(0);
            return self.socket.send_descriptor(&message, descriptor).await;
        }
        let message = Answer::Object { shared: false, len }.encode(len);
        self.socket.send_with(&message, object.as_slice()).await
    }

    async fn say(&mut self, answer: Result<Answer>) -> Result<()> {
        let answer = answer.unwrap_or_else(|error| Answer::failed(&error));
        self.socket.send(&answer).await
    }
}

/// Compares in a time that does not tell where they differ.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |differs, (left, right)| differs | (left ^ right))
            == 0
}
