//! What only the Redis connector does, against real servers.
#![allow(clippy::unwrap_used)] // in what the tests share

mod cluster;
mod failures;
mod objects;
#[cfg(feature = "stream")]
mod streams;

use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use proxystore_testkit::RedisServer;

/// Above the size at which values are cut.
const LARGE: usize = 5_000_000;
/// The server's keys of such a value: ten chunks and a head.
const KEYS_OF_LARGE: usize = 11;

fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig::default().port(server.port())
}

fn connect(server: &RedisServer) -> RedisConnector {
    RedisConnector::connect(config(server)).unwrap()
}

fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ seed).collect()
}

fn key_count(server: &RedisServer) -> usize {
    server.ask(&["DBSIZE"]).parse().unwrap()
}
