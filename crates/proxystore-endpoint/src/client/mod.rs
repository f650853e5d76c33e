//! Talking to the endpoint of this site: what programs and the command use.

mod connection;
mod running;
mod shared;
mod socket;

pub use running::{CONFIG_FILE, Running, home_dir};
#[cfg(feature = "daemon")]
pub(crate) use running::{RUN_FILE, TOKEN_FILE, boot};

use crate::wire::{Answer, Record, Request, UNASKED};
use connection::{Connection, Failure};
use proxystore::blob::Buffer;
use proxystore::fork::ForkMutex;
use proxystore::{Access, Blob, Error, ErrorKind, Payload, Result};
use std::fmt;

/// Most idle connections that are kept.
const IDLE: usize = 32;
/// Requests that are sent before their answers are read. More could fill both directions, so that
/// both sides wait for each other.
const AHEAD: usize = 32;

/// A client of one endpoint. Every call may name a `peer` that is asked instead; an empty name is
/// the endpoint itself. Connections are made when they are needed, kept for the next call, and made
/// anew after a fork or when the endpoint was started again.
pub struct Client {
    running: Running,
    idle: ForkMutex<Vec<Connection>>,
}

impl Client {
    /// A client of a running endpoint that answers.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] if it does not, [`ErrorKind::PermissionDenied`] if it is somebody
    /// else's.
    pub fn connect(running: Running) -> Result<Self> {
        let client = Self {
            running,
            idle: ForkMutex::default(),
        };
        client.call(|_| Ok(()))?;
        Ok(client)
    }

    /// Whom it talks to.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Largest object that the endpoint takes, in bytes.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn limit(&self) -> Result<Option<u64>> {
        self.call(|connection| Ok(connection.limit()))
    }

    /// Keeps an object.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] and [`ErrorKind::Full`] before its bytes are sent; what the peer
    /// says.
    pub fn put(&self, peer: &str, key: &str, payload: &Payload<'_>) -> Result<()> {
        self.call(|connection| put(connection, peer, key, payload))
    }

    /// Keeps several objects, one message after the other.
    ///
    /// # Errors
    /// As [`put`](Self::put), of the first that fails; others may have been kept.
    pub fn put_batch(&self, peer: &str, objects: &[(&str, &Payload<'_>)]) -> Result<()> {
        for window in objects.chunks(AHEAD) {
            self.call(|connection| {
                let small = |payload: &Payload<'_>| payload.len() as u64 <= UNASKED;
                for (key, payload) in window.iter().filter(|(_, payload)| small(payload)) {
                    send_put(connection, peer, key, payload, false)?;
                }
                let mut refused = Ok(());
                for _ in window.iter().filter(|(_, payload)| small(payload)) {
                    refused = refused.and(keep_going(connection.done())?);
                }
                refused.map_err(Failure::Said)?;
                for (key, payload) in window.iter().filter(|(_, payload)| !small(payload)) {
                    put(connection, peer, key, payload)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// An object, or `None`.
    ///
    /// # Errors
    /// What the peer says.
    pub fn get(&self, peer: &str, key: &str, access: Access) -> Result<Option<Blob>> {
        self.call(|connection| {
            let shared = connection.passes_descriptors();
            connection.ask(&Request::Get { peer, key, shared }.encode(0))?;
            object(connection, access)
        })
    }

    /// Several objects, in order; each names its peer and its key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_batch(&self, names: &[(&str, &str)], access: Access) -> Result<Vec<Option<Blob>>> {
        let mut found = Vec::with_capacity(names.len());
        for window in names.chunks(AHEAD) {
            found.extend(self.call(|connection| {
                let shared = connection.passes_descriptors();
                for (peer, key) in window {
                    connection.ask(&Request::Get { peer, key, shared }.encode(0))?;
                }
                let mut objects = Vec::with_capacity(window.len());
                for _ in window {
                    objects.push(keep_going(object(connection, access))?);
                }
                objects
                    .into_iter()
                    .collect::<Result<Vec<_>>>()
                    .map_err(Failure::Said)
            })?);
        }
        Ok(found)
    }

    /// Whether there is an object.
    ///
    /// # Errors
    /// What the peer says.
    pub fn exists(&self, peer: &str, key: &str) -> Result<bool> {
        self.call(|connection| {
            connection.ask(&Request::Exists { peer, key }.encode(0))?;
            match connection.answer()? {
                Answer::Flag(found) => Ok(found),
                other => Err(connection.unexpected(&other)),
            }
        })
    }

    /// Removes objects; each names its peer and its key.
    ///
    /// # Errors
    /// Of the first that fails; every one is tried.
    pub fn evict(&self, names: &[(&str, &str)]) -> Result<()> {
        let mut refused = Ok(());
        for window in names.chunks(AHEAD) {
            let one = self.call(|connection| {
                for (peer, key) in window {
                    connection.ask(&Request::Evict { peer, key }.encode(0))?;
                }
                let mut refused = Ok(());
                for _ in window {
                    refused = refused.and(keep_going(connection.done())?);
                }
                refused.map_err(Failure::Said)
            });
            refused = refused.and(one);
        }
        refused
    }

    /// Names of the objects that the endpoint holds itself.
    ///
    /// # Errors
    /// If the endpoint cannot be reached.
    pub fn keys(&self) -> Result<Vec<String>> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let more = self.call(|connection| {
                let after = keys.last().map_or("", String::as_str);
                connection.ask(&Request::Keys { after }.encode(0))?;
                match connection.answer()? {
                    Answer::Keys(more) => Ok(more),
                    other => Err(connection.unexpected(&other)),
                }
            })?;
            if more.is_empty() {
                return Ok(keys);
            }
            keys.extend(more);
        }
    }

    /// Asks something whose answer is for people: [`Request::Status`], [`Request::Peers`],
    /// [`Request::PeerList`].
    ///
    /// # Errors
    /// If the endpoint cannot be reached.
    pub fn records(&self, request: &Request<'_>) -> Result<Vec<Record>> {
        self.call(|connection| {
            connection.ask(&request.encode(0))?;
            match connection.answer()? {
                Answer::Records(records) => Ok(records),
                other => Err(connection.unexpected(&other)),
            }
        })
    }

    /// Asks for something to be done: [`Request::Clear`], [`Request::PeerAdd`],
    /// [`Request::PeerRemove`].
    ///
    /// # Errors
    /// What the endpoint says.
    pub fn order(&self, request: &Request<'_>) -> Result<()> {
        self.call(|connection| {
            connection.ask(&request.encode(0))?;
            connection.done()
        })
    }

    /// Closes idle connections.
    pub fn close(&self) {
        self.idle.lock().clear();
    }

    /// Runs one call on a connection; a kept one that turns out to be dead is replaced once.
    fn call<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let mut kept = self.idle();
        loop {
            let (mut connection, is_fresh) = match kept.take() {
                Some(connection) => (connection, false),
                None => (Connection::open(&self.running)?, true),
            };
            match work(&mut connection) {
                Ok(value) => {
                    self.keep(connection);
                    return Ok(value);
                }
                Err(Failure::Said(error)) => {
                    self.keep(connection);
                    return Err(error.with_connector("endpoint"));
                }
                Err(Failure::Broken(error)) => {
                    if is_fresh || error.kind() != ErrorKind::Unreachable {
                        return Err(self.lost(error));
                    }
                    self.close();
                }
            }
        }
    }

    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        // Those of before a fork are closed here; the parent has its own descriptors.
        idle.retain(Connection::is_ours);
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        if connection.is_reusable() {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE {
                idle.push(connection);
            }
        }
    }

    fn lost(&self, error: Error) -> Error {
        let running = &self.running;
        Error::new(
            error.kind(),
            format!(
                "lost the endpoint {} on {} in the middle of a call; is it running? Try: \
                 proxystore-endpoint status {}",
                running.name, running.host, running.name
            ),
        )
        .with_source(error)
        .with_connector("endpoint")
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// Tells what ends one call from what ends the connection.
fn keep_going<T>(
    result: std::result::Result<T, Failure>,
) -> std::result::Result<Result<T>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Said(error)) => Ok(Err(error)),
        Err(broken) => Err(broken),
    }
}

fn put(
    connection: &mut Connection,
    peer: &str,
    key: &str,
    payload: &Payload<'_>,
) -> std::result::Result<(), Failure> {
    let len = payload.len() as u64;
    let mut shared = false;
    if len > UNASKED {
        let wanted = connection.passes_descriptors();
        let offer = Request::Offer {
            peer,
            key,
            len,
            shared: wanted,
        };
        connection.ask(&offer.encode(0))?;
        match connection.answer()? {
            Answer::Accepted { shared: false } => {}
            Answer::Accepted { shared: true } => {
                let memory = connection.descriptor()?;
                shared::fill(&memory, payload).map_err(|error| {
                    // The daemon waits for the bytes: this connection cannot be used for more.
                    connection.give_up();
                    Failure::Said(Error::io(error, "writing into shared memory"))
                })?;
                shared = true;
            }
            other => return Err(connection.unexpected(&other)),
        }
    }
    send_put(connection, peer, key, payload, shared)?;
    connection.done()
}

fn send_put(
    connection: &mut Connection,
    peer: &str,
    key: &str,
    payload: &Payload<'_>,
    shared: bool,
) -> std::result::Result<(), Failure> {
    let len = payload.len() as u64;
    let request = Request::Put {
        peer,
        key,
        shared,
        len,
    };
    if shared {
        connection.ask(&request.encode(0))
    } else {
        connection.ask_with(&request.encode(len), payload.pieces())
    }
}

/// Reads an object.
fn object(
    connection: &mut Connection,
    access: Access,
) -> std::result::Result<Option<Blob>, Failure> {
    match connection.answer()? {
        Answer::Missing => Ok(None),
        Answer::Object { shared: true, len } => {
            let memory = connection.descriptor()?;
            let blob = shared::blob(&memory, len, access);
            blob.map(Some).map_err(Failure::Said)
        }
        Answer::Object { shared: false, len } => {
            let no_memory = || {
                let message = format!("no memory for an object of {len} bytes");
                Error::new(ErrorKind::Full, message)
            };
            let buffer = usize::try_from(len).ok().and_then(Buffer::try_with_len);
            let Some(mut buffer) = buffer else {
                connection.give_up(); // the bytes are still to come
                return Err(Failure::Said(no_memory()));
            };
            connection.body(&mut buffer)?;
            Ok(Some(Blob::new(buffer)))
        }
        other => Err(connection.unexpected(&other)),
    }
}
