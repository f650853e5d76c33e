//! Peers: endpoints at other sites, and how objects move between them.
//!
//! ```text
//!  Peers ── Peer ─┬─ TLS   TCP straight to the peer's port          tls, raw_key
//!                 └─ QUIC  straight, through firewalls, by the relay quic, relay_state
//!           fetch, send    ranges side by side, each tried again
//!           serve          the other side of both
//!           wire           what is said, byte by byte
//! ```
//!
//! Every wait has a deadline of its own: 5 s for a connection, 3 s between two bytes of an object, 6 s more for a
//! peer that went away to come back.

mod allow;
mod channel;
mod config;
mod connect;
mod fetch;
mod greeting;
mod incoming;
mod patience;
mod peers;
mod quic;
mod raw_key;
mod relay_probe;
mod relay_state;
mod send;
mod serve;
#[cfg(test)]
mod serve_tests;
mod tls;
mod traffic;
mod transport;
pub mod wire;
mod wire_error;
#[cfg(test)]
mod wire_tests;

pub use allow::{AllowList, Entry};
pub use config::{Log, PeersConfig, RelayAccess};
pub use peers::Peers;
pub use wire_error::Cause;

use peers::Shared;
use traffic::Traffic;
