//! Other endpoints, as this one's daemon uses them.

use crate::object::Object;
use proxystore::{Error, ErrorKind, Result};
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// What an asynchronous call gives.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How a peer is named: by its public key, or by the UUID that is an alias of it. Text in lower
/// case without spaces, compared as it is.
///
/// ```
/// use proxystore_endpoint::remote::PeerName;
///
/// let name = PeerName::new(" 5A0F2D1E-93AC-4AD7-9E1F-0D3A1C6B7E55 ")?;
/// assert_eq!(name.as_str(), "5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55");
/// assert!(PeerName::new("../etc").is_err());
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName(Box<str>);

impl PeerName {
    /// A name: letters, digits and `-`, at most 64.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if it can be neither a key nor a UUID.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim().to_ascii_lowercase();
        let sound = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if sound {
            Ok(Self(text.into()))
        } else {
            Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{text:?} names no endpoint: give its public key or its UUID"),
            ))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way bytes take to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// TCP and TLS 1.3, straight to the peer's port.
    DirectTls,
    /// QUIC, straight or through the holes of firewalls.
    Quic,
    /// By the relay.
    Relay,
}

impl Path {
    /// The name that commands show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DirectTls => "direct-tls",
            Self::Quic => "quic",
            Self::Relay => "relay",
        }
    }
}

/// A peer, connected or not.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its UUID, or the name that it was given.
    pub name: String,
    /// Its public key.
    pub key: String,
    /// The way in use; `None` if it is not connected.
    pub path: Option<Path>,
    /// Since when.
    pub connected_since: Option<SystemTime>,
    /// Bytes a second, both ways together, over the last seconds.
    pub rate: f64,
    /// Time to the peer and back.
    pub round_trip: Option<Duration>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An entry of the list of those that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its public key.
    pub key: String,
    /// Its UUID, by which clients may name it.
    pub uuid: Option<String>,
    /// A name for people.
    pub label: Option<String>,
    /// Addresses to try, `host:port`, beside what is found out.
    pub addresses: Vec<String>,
}

/// The other endpoints that this one reaches.
///
/// Every call ends in time, with an error of the core's kinds: [`ErrorKind::InvalidConfig`] for a
/// name that is not on the list, [`ErrorKind::PermissionDenied`] if the peer refuses us,
/// [`ErrorKind::Unreachable`] and [`ErrorKind::Timeout`] if it is not there,
/// [`ErrorKind::TooLarge`] above its limit.
pub trait Remote: Send + Sync + 'static {
    /// An object of a peer.
    fn get<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, Option<Object>>;

    /// Gives a peer an object to keep.
    fn put<'a>(&'a self, peer: &'a PeerName, key: &'a str, object: Object) -> Answer<'a, ()>;

    /// Whether a peer would take an object of so many bytes: asked before it is uploaded to us.
    fn check<'a>(&'a self, peer: &'a PeerName, len: u64) -> Answer<'a, ()>;

    /// Whether a peer has an object.
    fn exists<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, bool>;

    /// Has a peer remove an object.
    fn evict<'a>(&'a self, peer: &'a PeerName, key: &'a str) -> Answer<'a, ()>;

    /// Our own public key.
    fn key(&self) -> String;

    /// Our ways in: addresses of ports that listen, and the relay; for people.
    fn ways_in(&self) -> Vec<(String, String)>;

    /// Every peer on the list, and how it is connected.
    fn status(&self) -> Vec<PeerStatus>;

    /// Lets a peer in, and lets clients name it. It is kept on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the key is none.
    fn add(&self, peer: Allowed) -> Result<()>;

    /// Takes a peer off the list and ends its connections; false if it was not on it.
    ///
    /// # Errors
    /// If the list cannot be written.
    fn remove(&self, peer: &PeerName) -> Result<bool>;

    /// The list.
    fn list(&self) -> Vec<Allowed>;

    /// Ends all connections in order.
    fn close(&self) -> Answer<'_, ()>;
}
