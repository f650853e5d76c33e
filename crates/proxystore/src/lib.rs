//! Pass large objects by reference: keys, frames, connectors.
//!
//! A producer puts an object into a *store* and sends a small reference; the first use of the
//! reference, anywhere, fetches the object. This crate is the part that knows no Python:
//!
//! - a [`Key`] names one stored object;
//! - a [`Frame`](frame::Frame) is its form at rest and on the wire;
//! - a [`Payload`] is what a connector is given: pieces by reference, never joined;
//! - a [`Blob`] is what a connector gives back: memory that the caller then owns;
//! - a [`Connector`] moves bytes; what it can do is its [`Capability`].
//!
//! ```
//! use proxystore::connectors::memory::MemoryConnector;
//! use proxystore::{Access, Connector, Payload};
//!
//! let connector = MemoryConnector::new();
//! let key = connector.put(&Payload::from_bytes(b"hello"))?;
//! let blob = connector.get(&key, Access::Auto)?.expect("just put");
//! assert_eq!(&blob[..], b"hello");
//! # Ok::<(), proxystore::Error>(())
//! ```

#![deny(missing_docs)]

pub mod blob;
pub mod cache;
mod capability;
pub mod codec;
pub mod config;
mod connector;
pub mod connectors;
mod error;
pub mod fork;
pub mod frame;
mod key;
mod payload;
pub mod registry;
pub mod single_flight;

pub use blob::Blob;
pub use capability::Capability;
pub use connector::{Access, Connector, ConnectorExt};
pub use error::{Error, ErrorKind, Result};
pub use key::Key;
pub use payload::Payload;
pub use registry::open;
