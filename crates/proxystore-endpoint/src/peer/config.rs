//! How an endpoint meets its peers.

use crate::identity::{Alias, SecretKey};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Where sentences for people go, such as that somebody was refused.
pub type Log = dyn Fn(&str) + Send + Sync;

/// A relay, and how it lets this endpoint in.
#[derive(Clone)]
pub struct RelayAccess {
    /// Its address: `https://host:port`, or `http://` where everybody on the way is trusted.
    pub url: String,
    /// The token that it asks for, if it does.
    pub token: Option<String>,
    /// Certificates that its own may be signed by, instead of the public authorities'.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}

impl fmt::Debug for RelayAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayAccess({})", self.url)
    }
}

/// How this endpoint meets its peers.
#[derive(Clone)]
pub struct PeersConfig {
    /// Who it is.
    pub key: SecretKey,
    /// The UUID that stands for the key; derived from it unless there is one.
    pub alias: Option<Alias>,
    /// The file with those who may come in.
    pub list: PathBuf,
    /// Addresses to listen at, UDP and TCP; port 0 for any. None means every address, at any port.
    pub listen: Vec<SocketAddr>,
    /// The relay, if there is one.
    pub relay: Option<RelayAccess>,
    /// Whether to use TLS over TCP.
    pub tls: bool,
    /// Whether to use QUIC.
    pub quic: bool,
    /// Whether QUIC may only go by the relay.
    pub relay_only: bool,
    /// Where sentences for people go.
    pub log: Arc<Log>,
}

impl PeersConfig {
    /// Everything at its default.
    #[must_use]
    pub fn new(key: SecretKey, list: impl Into<PathBuf>) -> Self {
        Self {
            key,
            alias: None,
            list: list.into(),
            listen: Vec::new(),
            relay: None,
            tls: true,
            quic: true,
            relay_only: false,
            log: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for PeersConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeersConfig")
            .field("key", &self.key)
            .field("listen", &self.listen)
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}
