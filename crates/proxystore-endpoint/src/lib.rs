//! Endpoints: small daemons, one at each site, that hold objects and fetch them from their peers.
//!
//! # Features
//!
//! `client` is the local protocol and the connector that speaks it; `daemon` is the rest.

#![deny(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "daemon")]
pub mod commands;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "client")]
mod connector;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
mod draft;
pub mod identity;
#[cfg(feature = "daemon")]
pub mod log;
#[cfg(feature = "daemon")]
pub mod object;
#[cfg(feature = "daemon")]
pub mod objects;
#[cfg(feature = "daemon")]
pub mod peer;
#[cfg(feature = "daemon")]
pub mod relay;
#[cfg(feature = "daemon")]
pub mod remote;
#[cfg(feature = "daemon")]
mod secret_file;
#[cfg(feature = "daemon")]
mod segment;
#[cfg(feature = "daemon")]
pub mod storage;
pub mod wire;

#[cfg(feature = "client")]
pub use connector::{EndpointConfig, EndpointConnector, register, split_key};
