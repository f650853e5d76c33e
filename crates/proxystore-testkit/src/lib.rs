//! What every [`Connector`](proxystore::Connector) must hold to, as trials, and a connector that
//! fails on demand.
//!
//! A connector's whole contract test is one call:
//!
//! ```
//! use proxystore::connectors::memory::MemoryConnector;
//! use std::sync::Arc;
//!
//! proxystore_testkit::run(|| Arc::new(MemoryConnector::new()));
//! ```
//!
//! Which trials run follows from the connector's own [`Capability`](proxystore::Capability); there
//! is no list to keep. Callers that bring their own runner (pytest, say) take the
//! [names](trials) and run each with [`run_trial`], which never panics.
//!
//! To see how *your* code bears a store that fails, wrap any connector in a [`FaultConnector`].

#![deny(missing_docs)]

mod clauses;
mod content;
mod fault;
mod fault_proxy;
mod pipe;
mod redis_cluster;
mod redis_server;
mod s3_server;
mod suite;

pub use content::content;
pub use fault::{Call, Fault, FaultConnector};
pub use fault_proxy::{FaultProxy, LineFault};
pub use pipe::{PipeConnector, write_block};
pub use redis_cluster::{Moving, RedisCluster};
pub use redis_server::RedisServer;
pub use s3_server::S3Server;
pub use suite::{Report, Trial, coverage, run, run_trial, trials};
