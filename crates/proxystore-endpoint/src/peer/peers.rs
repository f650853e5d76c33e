//! The other endpoints, as the daemon uses them.

use super::allow::AllowList;
use super::channel::{ANSWER, Failure, unexpected};
use super::config::{Log, PeersConfig};
use super::connect::Peer;
use super::incoming::Incoming;
use super::quic::{self, QuicLink};
use super::relay_state::RelayState;
use super::serve::Opened;
use super::traffic::Traffic;
use super::wire::{Introduction, LONGEST_KEY, Message};
use super::{fetch, send, tls};
use crate::identity::{Alias, PublicKey, SecretKey};
use crate::object::Object;
use crate::objects::Objects;
use crate::remote::{Allowed, Answer, PeerName, PeerStatus, Remote};
use proxystore::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// QUIC connections whose other side has not greeted yet.
const STRANGERS: usize = 128;
/// The pause after which the same stranger is mentioned again.
const MENTION: Duration = Duration::from_secs(60);

/// What all connections share.
pub(super) struct Shared {
    pub(super) key: SecretKey,
    pub(super) alias: Alias,
    pub(super) allow: AllowList,
    pub(super) objects: Arc<dyn Objects>,
    pub(super) opened: Opened,
    pub(super) incoming: Incoming,
    pub(super) relay: Arc<RelayState>,
    pub(super) quic: OnceLock<iroh::Endpoint>,
    pub(super) use_tls: bool,
    pub(super) relay_only: bool,
    port: OnceLock<u16>,
    traffic: Mutex<HashMap<PublicKey, Arc<Traffic>>>,
    mentioned: Mutex<HashMap<String, Instant>>,
    log: Arc<Log>,
}

impl Shared {
    /// What we say of ourselves.
    pub(super) fn introduction(&self) -> Introduction {
        Introduction {
            alias: self.alias,
            limit: self.objects.limit().unwrap_or(u64::MAX),
            port: self.port.get().copied().unwrap_or(0),
            software: format!("proxystore {}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Why this key may not come in, if so; then people here are told too.
    pub(super) fn refusal(&self, key: &PublicKey, from: &str) -> Option<String> {
        if self.allow.of_key(key).is_some() {
            return None;
        }
        self.mention(key.to_string(), || {
            format!(
                "refused {key} by {from}: it is not on the list of peers; `proxystore-endpoint peer add` would let it in"
            )
        });
        Some(format!(
            "it refuses this endpoint, whose key is not on its list of peers: its owner lets it in with \
             `proxystore-endpoint peer add <endpoint> {key}`"
        ))
    }

    /// Somebody hung up on us because we are not whom it looked for.
    pub(super) fn misdirected(&self, host: &str) {
        self.mention(host.to_owned(), || {
            format!(
                "{host} looked here for an endpoint with another key than ours, {}: its list has a wrong address, or \
                 an old key of this endpoint",
                self.key.public()
            )
        });
    }

    /// Tells people here something about somebody, once in a while.
    fn mention(&self, about: String, words: impl FnOnce() -> String) {
        let mut mentioned = lock(&self.mentioned);
        mentioned.retain(|_, at| at.elapsed() < MENTION);
        if mentioned.len() < 1000 && mentioned.insert(about, Instant::now()).is_none() {
            (self.log)(&words());
        }
    }

    /// The counter of a peer. Strangers share one.
    pub(super) fn traffic_of(&self, key: &PublicKey) -> Arc<Traffic> {
        if self.allow.of_key(key).is_none() {
            return Arc::default();
        }
        Arc::clone(lock(&self.traffic).entry(*key).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other endpoints: every way to them, and what they may ask of us.
pub struct Peers {
    shared: Arc<Shared>,
    peers: Arc<Mutex<HashMap<PublicKey, Arc<Peer>>>>,
    listening: Vec<SocketAddr>,
    /// Ends with us.
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Peers({}, at {:?})",
            self.shared.key.public().short(),
            self.listening
        )
    }
}

impl Peers {
    /// Opens the ports and meets the relay. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `InvalidConfig` for a list, an address or a relay that is wrong; `Io` if a port is taken.
    pub async fn start(config: PeersConfig, objects: Arc<dyn Objects>) -> Result<Arc<Self>> {
        let seed = u64::from_le_bytes(
            SecretKey::generate().public().as_bytes()[..8]
                .try_into()
                .unwrap_or([1; 8]),
        );
        let shared = Arc::new(Shared {
            alias: config.alias.unwrap_or_else(|| config.key.public().alias()),
            key: config.key,
            allow: AllowList::open(&config.list)?,
            objects,
            opened: Opened::new(seed),
            incoming: Incoming::new(seed),
            relay: Arc::new(RelayState::new(config.relay.as_ref())),
            quic: OnceLock::new(),
            use_tls: config.tls,
            relay_only: config.relay_only,
            port: OnceLock::new(),
            traffic: Mutex::default(),
            mentioned: Mutex::default(),
            log: config.log,
        });
        let mut listening = Vec::new();
        let mut addresses = config.listen.clone();
        if config.quic {
            let endpoint = quic::bind(
                &shared,
                &addresses,
                config.relay.as_ref(),
                config.relay_only,
            )
            .await?;
            if !config.relay_only {
                listening = endpoint.bound_sockets();
                addresses = listening.clone();
            }
            let _ = shared.quic.set(endpoint);
        }
        let mut tasks = JoinSet::new();
        if config.tls && !config.relay_only {
            if addresses.is_empty() {
                addresses.push(SocketAddr::from(([0, 0, 0, 0], 0)));
            }
            for address in &addresses {
                let any_port = config.listen.iter().all(|asked| asked.port() == 0);
                let Some(listener) = bind_tcp(*address, any_port).await? else {
                    continue;
                };
                let bound = listener.local_addr().unwrap_or(*address);
                let _ = shared.port.set(bound.port());
                if !config.quic {
                    listening.push(bound);
                }
                let shared = Arc::clone(&shared);
                tasks.spawn(async move {
                    let _ = tls::listen(shared, listener).await;
                });
            }
        }
        let peers = Arc::new(Self {
            shared: Arc::clone(&shared),
            peers: Arc::default(),
            listening,
            tasks: Mutex::new(tasks),
        });
        peers.follow();
        Ok(peers)
    }

    /// Addresses at which it listens, UDP and TCP.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// How it stands with the relay, in words; `None` without one.
    #[must_use]
    pub fn relay(&self) -> Option<String> {
        self.shared.relay.describe()
    }

    /// The UUID that stands for our key.
    #[must_use]
    pub fn alias(&self) -> Alias {
        self.shared.alias
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn follow(&self) {
        let mut tasks = lock(&self.tasks);
        if let Some(endpoint) = self.shared.quic.get() {
            let (relay, log) = (Arc::clone(&self.shared.relay), Arc::clone(&self.shared.log));
            tasks.spawn(relay.follow(endpoint.clone(), log));
            let (shared, peers, endpoint) = (
                Arc::clone(&self.shared),
                Arc::clone(&self.peers),
                endpoint.clone(),
            );
            tasks.spawn(async move { accept(shared, peers, endpoint).await });
        }
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                shared.opened.sweep();
                shared.incoming.sweep();
                for traffic in lock(&shared.traffic).values() {
                    traffic.sample();
                }
            }
        });
    }

    fn peer(&self, name: &PeerName) -> Result<Arc<Peer>> {
        let entry = self.shared.allow.of_name(name)?;
        Ok(of_key(&self.shared, &self.peers, entry.key))
    }

    /// One request without bytes, tried once more on a new connection.
    async fn ask(&self, name: &PeerName, request: Message) -> Result<Message> {
        let peer = self.peer(name)?;
        let mut tried = false;
        loop {
            let link = peer.link().await?;
            let asked = async {
                let mut channel = link.open().await?;
                channel.send(&request).await?;
                let answer = channel.answer(ANSWER).await?;
                channel.release();
                Ok(answer)
            };
            match asked.await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lost(error)) => {
                    peer.discard(&link, &error);
                    if tried {
                        return Err(error);
                    }
                    tried = true;
                }
                Err(failure) => return Err(failure.into_error(&peer.name())),
            }
        }
    }
}

fn of_key(
    shared: &Arc<Shared>,
    peers: &Mutex<HashMap<PublicKey, Arc<Peer>>>,
    key: PublicKey,
) -> Arc<Peer> {
    let mut peers = lock(peers);
    let peer = peers
        .entry(key)
        .or_insert_with(|| Arc::new(Peer::new(Arc::clone(shared), key)));
    Arc::clone(peer)
}

/// Opens the TCP port that belongs to a UDP port. `None` where any port would have done and this one is taken.
async fn bind_tcp(address: SocketAddr, any_port: bool) -> Result<Option<TcpListener>> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(_) if any_port => Ok(TcpListener::bind((address.ip(), 0)).await.ok()),
        Err(error) => Err(Error::io(
            error,
            format!("the TCP port {address} cannot be opened"),
        )),
    }
}

async fn accept(
    shared: Arc<Shared>,
    peers: Arc<Mutex<HashMap<PublicKey, Arc<Peer>>>>,
    endpoint: iroh::Endpoint,
) {
    let strangers = Arc::new(tokio::sync::Semaphore::new(STRANGERS));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (shared, peers) = (Arc::clone(&shared), Arc::clone(&peers));
        tokio::spawn(async move {
            let from = quic::host_of(&incoming);
            let accepted = tokio::time::timeout(Duration::from_secs(5), async {
                match incoming.accept().ok()?.await {
                    Ok(connection) => Some(connection),
                    Err(error) => {
                        if quic::is_other_key(&error) {
                            shared.misdirected(&from);
                        }
                        None
                    }
                }
            });
            let Ok(Some(connection)) = accepted.await else {
                return;
            };
            let answered = QuicLink::answer(&shared, connection).await;
            drop(permit);
            if let Some((key, link)) = answered {
                of_key(&shared, &peers, key).adopt(Arc::new(link));
            }
        });
    }
}

fn bytes(key: &str) -> Result<Vec<u8>> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!(
                "the key of an object has 1 to {LONGEST_KEY} bytes, not {}",
                key.len()
            ),
        ));
    }
    Ok(key.as_bytes().to_vec())
}

impl Remote for Peers {
    fn get<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, Option<Object>> {
        Box::pin(async move {
            bytes(key)?;
            fetch::get(&self.peer(peer)?, key).await
        })
    }

    fn put<'a>(&'a self, peer: &'a PeerName, key: &'a str, object: Object) -> Answer<'a, ()> {
        Box::pin(async move {
            bytes(key)?;
            send::put(&self.peer(peer)?, key, object).await
        })
    }

    fn check<'a>(&'a self, peer: &'a PeerName, len: u64) -> Answer<'a, ()> {
        Box::pin(async move {
            let peer = self.peer(peer)?;
            let limit = peer.introduction().await?.limit;
            if len <= limit {
                return Ok(());
            }
            Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "an object of {len} bytes is larger than the {limit} bytes that peer {} takes (max_object_size in \
                     its config.toml)",
                    peer.name()
                ),
            ))
        })
    }

    fn exists<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            match self.ask(peer, Message::Exists { key: bytes(key)? }).await? {
                Message::Answer(yes) => Ok(yes),
                other => Err(unexpected(&other).into_error(peer.as_str())),
            }
        })
    }

    fn evict<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.ask(peer, Message::Evict { key: bytes(key)? }).await? {
                Message::Done => Ok(()),
                other => Err(unexpected(&other).into_error(peer.as_str())),
            }
        })
    }

    fn key(&self) -> String {
        self.shared.key.public().to_string()
    }

    fn ways_in(&self) -> Vec<(String, String)> {
        let mut ways = Vec::new();
        for address in &self.listening {
            if self.shared.quic.get().is_some() {
                ways.push(("udp".to_owned(), address.to_string()));
            }
            if let Some(port) = self.shared.port.get() {
                ways.push((
                    "tcp".to_owned(),
                    SocketAddr::new(address.ip(), *port).to_string(),
                ));
            }
        }
        if let (Some(url), Some(words)) = (self.shared.relay.url(), self.relay()) {
            ways.push(("relay".to_owned(), format!("{url} ({words})")));
        }
        ways
    }

    fn status(&self) -> Vec<PeerStatus> {
        let entries = self.shared.allow.entries();
        entries
            .iter()
            .map(|entry| of_key(&self.shared, &self.peers, entry.key).status(entry))
            .collect()
    }

    fn add(&self, peer: Allowed) -> Result<()> {
        self.shared.allow.add(peer).map(drop)
    }

    fn remove(&self, peer: &PeerName) -> Result<bool> {
        let Some(key) = self.shared.allow.remove(peer)? else {
            return Ok(false);
        };
        if let Some(peer) = lock(&self.peers).remove(&key) {
            peer.close("this endpoint was taken off the list of peers");
        }
        lock(&self.shared.traffic).remove(&key);
        Ok(true)
    }

    fn list(&self) -> Vec<Allowed> {
        self.shared
            .allow
            .entries()
            .iter()
            .map(|entry| entry.allowed.clone())
            .collect()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            for (_, peer) in lock(&self.peers).drain() {
                peer.close("the endpoint stops");
            }
            if let Some(endpoint) = self.shared.quic.get() {
                let _ = tokio::time::timeout(Duration::from_secs(3), endpoint.close()).await;
            }
            lock(&self.tasks).abort_all();
            Ok(())
        })
    }
}
