//! Pass large objects by reference.
//!
//! A producer puts a value into a *store* and sends a small reference; the first use of the
//! reference, anywhere, fetches the value.
//!
//! ```
//! use proxystore::{Proxy, Reference, Store};
//!
//! # let dir = std::env::temp_dir().join(format!("proxystore-lib-{}", std::process::id()));
//! # let url = format!("file://{}", dir.display());
//! let store = Store::open("results", &url)?; // or redis://host:6379, shm://, memory://
//! let proxy = store.proxy(&"a large text".to_owned())?;
//! let line = proxy.reference()?.to_text(); // some hundred bytes: send it
//!
//! // In another process or on another host, in Rust or in Python:
//! let proxy: Proxy<String> = Proxy::of_reference(line.parse()?);
//! assert_eq!(proxy.resolve()?, "a large text");
//! # store.close(true)?;
//! # Ok::<(), proxystore::Error>(())
//! ```
//!
//! What one language puts, the other gets: see [`codec`] for which types.
//!
//! # The parts
//!
//! - a [`Store`] puts and gets values; it is a codec, a cache and a connector under a name;
//! - a [`Proxy`] stands for a value, an [`OwnedProxy`] removes it when it is dropped, a
//!   [`Lifetime`] removes many, a [`StoreFuture`] is a value to come;
//! - a [`stream`] passes values on, from producers to consumers, through a broker;
//! - a [`Key`] names one stored object, and a [`Reference`] says where it is, in one line;
//! - a [`Frame`](frame::Frame) is an object's form at rest and on the wire;
//! - a [`Connector`] moves bytes: its documentation is the contract that connectors hold to and
//!   that yours can be tested against (`proxystore-testkit`). It is given a [`Payload`], pieces by
//!   reference, and gives back a [`Blob`], memory that the caller then owns.
//!
//! # Features
//!
//! `memory`, `file`, `shared-memory` and `redis` are the connectors, and `object-stores` (off) that of S3 and its like; `msgpack` is serde types as
//! objects, `stream` streams, and `serde` proxies that serialize; these are on. `async` is the
//! store's verbs as futures, `seal` compression, signing and encryption of what is stored, `ndarray` arrays of that crate, `arrow` record batches and tables.

#![deny(missing_docs)]
// What these find breaks programs when it changes, or leaves them guessing.
#![warn(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use
)]

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(any(feature = "tls", feature = "object-stores"))]
mod authorities;
pub mod blob;
pub mod cache;
mod capability;
pub mod codec;
pub mod config;
mod connector;
pub mod connectors;
#[cfg(any(feature = "redis", feature = "object-stores"))]
mod cutter;
mod error;
pub mod fork;
pub mod frame;
mod future;
pub mod interrupt;
mod key;
mod lifetime;
mod owned;
mod payload;
mod percent;
mod pool;
mod process_bound;
mod proxy;
mod reference;
pub mod registry;
pub mod routing;
#[cfg(feature = "seal")]
pub mod seal;
pub mod single_flight;
mod store;
#[cfg(feature = "stream")]
pub mod stream;
pub mod trace;

#[cfg(feature = "async")]
pub use asynchronous::AsyncStore;

pub use blob::Blob;
pub use capability::Capability;
pub use connector::{Access, Connector, ConnectorExt};
pub use error::{Error, ErrorKind, Result};
pub use future::StoreFuture;
pub use key::Key;
pub use lifetime::Lifetime;
pub use owned::{BorrowedProxy, OwnedProxy};
pub use payload::Payload;
pub use process_bound::ProcessBound;
pub use proxy::{Proxy, Resolving};
pub use reference::Reference;
pub use registry::open;
pub use store::{Store, StoreBuilder};
