//! A peer and the ways to it: tried side by side, the best one used, another one when it ends.

use super::allow::Entry;
use super::quic::QuicLink;
use super::tls::TlsLink;
use super::transport::Link;
use super::wire::Introduction;
use super::{Shared, Traffic};
use crate::identity::PublicKey;
use crate::remote::{Path, PeerStatus};
use proxystore::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

/// How long a port that nobody answered at is left alone while another way works.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// Longest time for the name of a peer's host to be resolved.
const RESOLVE: Duration = Duration::from_secs(3);

/// A peer.
pub(super) struct Peer {
    pub(super) key: PublicKey,
    shared: Arc<Shared>,
    traffic: Arc<Traffic>,
    ways: Mutex<Ways>,
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ways {
    tls: Option<Arc<dyn Link>>,
    quic: Option<Arc<QuicLink>>,
    since: Option<SystemTime>,
    last_error: Option<String>,
    tried_tls: Option<Instant>,
}

impl Peer {
    pub(super) fn new(shared: Arc<Shared>, key: PublicKey) -> Self {
        let traffic = shared.traffic_of(&key);
        Self {
            key,
            shared,
            traffic,
            ways: Mutex::default(),
            dialing: tokio::sync::Mutex::new(()),
        }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What people know it by.
    pub(super) fn name(&self) -> String {
        match self.shared.allow.of_key(&self.key) {
            Some(entry) => entry
                .allowed
                .label
                .unwrap_or_else(|| entry.alias.to_string()),
            None => self.key.short(),
        }
    }

    /// The best way that is open.
    fn best(&self) -> Option<Arc<dyn Link>> {
        let mut ways = self.ways();
        if let Some(words) = ways.tls.as_ref().and_then(|link| link.ended()) {
            ways.last_error = Some(words);
            ways.tls = None;
        }
        if let Some(words) = ways.quic.as_ref().and_then(|link| link.ended()) {
            ways.last_error = Some(words);
            ways.quic = None;
        }
        match (&ways.tls, &ways.quic) {
            (Some(link), _) => Some(Arc::clone(link)),
            (None, Some(link)) => Some(Arc::clone(link) as Arc<dyn Link>),
            (None, None) => None,
        }
    }

    /// A way to the peer, opened if there is none.
    ///
    /// # Errors
    /// `PermissionDenied` if the peer, or the relay that alone leads to it, refuses us; `Unreachable` or `Timeout`
    /// with what was tried.
    pub(super) async fn link(self: &Arc<Self>) -> Result<Arc<dyn Link>> {
        if let Some(link) = self.best() {
            self.upgrade();
            return Ok(link);
        }
        let _one = self.dialing.lock().await;
        if let Some(link) = self.best() {
            return Ok(link);
        }
        let dialed = self.dial().await;
        if let Err(error) = &dialed {
            self.ways().last_error = Some(error.to_string());
        }
        dialed
    }

    async fn dial(self: &Arc<Self>) -> Result<Arc<dyn Link>> {
        let Some(entry) = self.shared.allow.of_key(&self.key) else {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "endpoint {} is no longer on the list of peers",
                    self.key.short()
                ),
            ));
        };
        let (addresses, unresolved) = resolve(&entry).await;
        let mut attempts: JoinSet<Result<Arc<dyn Link>>> = JoinSet::new();
        if self.shared.use_tls && !addresses.is_empty() {
            self.ways().tried_tls = Some(Instant::now());
            for address in addresses.clone() {
                let peer = Arc::clone(self);
                attempts.spawn(async move { peer.dial_tls(address).await });
            }
        }
        if self.shared.quic.get().is_some() {
            let peer = Arc::clone(self);
            attempts.spawn(async move { peer.dial_quic(addresses).await });
        }
        let mut failures: Vec<Error> = unresolved.into_iter().collect();
        while let Some(ended) = attempts.join_next().await {
            match ended {
                Ok(Ok(link)) => {
                    // The others go on: a better way replaces this one.
                    attempts.detach_all();
                    return Ok(link);
                }
                Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(Error::new(
                        ErrorKind::PermissionDenied,
                        format!("peer {}: {error}", self.name()),
                    ));
                }
                Ok(Err(error)) => failures.push(error),
                Err(_) => {}
            }
        }
        Err(self.unreachable(&failures))
    }

    fn unreachable(&self, failures: &[Error]) -> Error {
        let timed_out = failures
            .iter()
            .any(|error| error.kind() == ErrorKind::Timeout);
        let kind = if timed_out {
            ErrorKind::Timeout
        } else {
            ErrorKind::Unreachable
        };
        let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
        let mut words = format!(
            "peer {} cannot be reached: {}",
            self.name(),
            reasons.join("; ")
        );
        if let Some(trouble) = self.shared.relay.trouble() {
            words.push_str("; ");
            words.push_str(&trouble);
        }
        Error::new(kind, words)
    }

    async fn dial_tls(self: Arc<Self>, address: SocketAddr) -> Result<Arc<dyn Link>> {
        let link: Arc<dyn Link> =
            Arc::new(TlsLink::dial(&self.shared, &self.key, address, &self.traffic).await?);
        let mut ways = self.ways();
        if let Some(other) = &ways.tls
            && other.ended().is_none()
        {
            return Ok(Arc::clone(other));
        }
        ways.tls = Some(Arc::clone(&link));
        ways.since = Some(SystemTime::now());
        Ok(link)
    }

    async fn dial_quic(self: Arc<Self>, addresses: BTreeSet<SocketAddr>) -> Result<Arc<dyn Link>> {
        let Some(endpoint) = self.shared.quic.get() else {
            return Err(Error::new(ErrorKind::Unreachable, "QUIC is switched off"));
        };
        let addresses: Vec<SocketAddr> = match self.shared.relay_only {
            true => Vec::new(),
            false => addresses.into_iter().collect(),
        };
        let relay = self.shared.relay.url();
        let dialing = QuicLink::dial(&self.shared, endpoint, &self.key, &addresses, relay);
        let link = if addresses.is_empty() {
            // Only the relay leads there: if it does not let us in, no answer will come.
            tokio::select! {
                link = dialing => link?,
                words = self.shared.relay.refused() => {
                    return Err(Error::new(ErrorKind::PermissionDenied, words));
                }
            }
        } else {
            dialing.await?
        };
        let link = Arc::new(link);
        self.adopt(Arc::clone(&link));
        Ok(link)
    }

    /// Uses a QUIC connection that one of the two sides made, and serves the peer over it.
    pub(super) fn adopt(self: &Arc<Self>, link: Arc<QuicLink>) {
        {
            let mut ways = self.ways();
            // Of two that were made at once, the other side may use either: both are served.
            if ways
                .quic
                .as_ref()
                .is_none_or(|other| other.ended().is_some())
            {
                ways.quic = Some(Arc::clone(&link));
                ways.since = Some(SystemTime::now());
            }
        }
        let peer = Arc::clone(self);
        tokio::spawn(async move { link.serve(&peer.shared, peer.key).await });
        self.upgrade();
    }

    /// Tries the port that the peer has announced, while QUIC carries what must go now.
    fn upgrade(self: &Arc<Self>) {
        let (addresses, port) = {
            let mut ways = self.ways();
            let Some(quic) = ways.quic.clone() else {
                return;
            };
            let port = quic.introduction().port;
            let recent = ways
                .tried_tls
                .is_some_and(|tried| tried.elapsed() < COOL_DOWN);
            if ways.tls.is_some() || recent || port == 0 || !self.shared.use_tls {
                return;
            }
            let addresses = quic.addresses();
            if addresses.is_empty() {
                return; // by the relay alone so far
            }
            ways.tried_tls = Some(Instant::now());
            (addresses, port)
        };
        for mut address in addresses {
            address.set_port(port);
            let peer = Arc::clone(self);
            tokio::spawn(async move { peer.dial_tls(address).await.map(drop) });
        }
    }

    /// What the peer said of itself, once connected.
    pub(super) async fn introduction(self: &Arc<Self>) -> Result<Introduction> {
        Ok(self.link().await?.introduction().clone())
    }

    /// A way on which an exchange broke is not used again.
    pub(super) fn discard(&self, link: &Arc<dyn Link>, error: &Error) {
        link.close(&error.to_string());
        self.ways().last_error = Some(error.to_string());
        self.best();
    }

    /// Ends every way.
    pub(super) fn close(&self, words: &str) {
        let mut ways = self.ways();
        if let Some(link) = ways.tls.take() {
            link.close(words);
        }
        if let Some(link) = ways.quic.take() {
            link.close(words);
        }
    }

    pub(super) fn status(&self, entry: &Entry) -> PeerStatus {
        let link = self.best();
        let ways = self.ways();
        PeerStatus {
            name: entry
                .allowed
                .label
                .clone()
                .unwrap_or_else(|| entry.alias.to_string()),
            key: self.key.to_string(),
            path: link.as_ref().map(|link| link.path()),
            connected_since: ways.since.filter(|_| link.is_some()),
            rate: self.traffic.rate(),
            round_trip: link.as_ref().and_then(|link| link.round_trip()),
            last_error: ways.last_error.clone(),
        }
    }

    /// Which way is in use.
    pub(super) fn path(&self) -> Option<Path> {
        self.best().map(|link| link.path())
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({}, {:?})", self.key.short(), self.path())
    }
}

/// Where a peer may be, by the list. A name that cannot be resolved is a failure of its own.
async fn resolve(entry: &Entry) -> (BTreeSet<SocketAddr>, Option<Error>) {
    let mut found = BTreeSet::new();
    let mut failed = None;
    for address in &entry.allowed.addresses {
        match tokio::time::timeout(RESOLVE, tokio::net::lookup_host(address.as_str())).await {
            Ok(Ok(addresses)) => found.extend(addresses),
            Ok(Err(error)) => {
                failed = Some(Error::new(
                    ErrorKind::Unreachable,
                    format!("its address {address} cannot be resolved: {error}"),
                ));
            }
            Err(_) => {
                failed = Some(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "its address {address} was not resolved within {} s",
                        RESOLVE.as_secs()
                    ),
                ));
            }
        }
    }
    (found, failed)
}
