//! Endpoints: small daemons, one at each site, that hold objects and fetch them from their peers.
//!
//! # Features
//!
//! `client` is the local protocol and the connector that speaks it; `daemon` is the rest.
//!
//! # What is stable
//!
//! [`EndpointConnector`] with its configuration, [`client`], [`wire`], and with `daemon`
//! [`commands::run`] and [`relay`]. Other modules of the daemon are public for its tests and
//! benchmarks alone, hidden from these pages, and may change with any version.

#![deny(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "daemon")]
pub mod commands;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod config;
#[cfg(feature = "client")]
mod connector;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod daemon;
#[cfg(feature = "daemon")]
mod draft;
#[cfg(feature = "client")]
mod huge;
pub mod identity;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod log;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod object;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod objects;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod peer;
#[cfg(feature = "daemon")]
pub mod relay;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod remote;
#[cfg(feature = "daemon")]
mod secret_file;
#[cfg(feature = "daemon")]
mod segment;
#[cfg(feature = "daemon")]
#[doc(hidden)]
pub mod storage;
pub mod wire;

#[cfg(feature = "client")]
pub use connector::{EndpointConfig, EndpointConnector, register, split_key};
