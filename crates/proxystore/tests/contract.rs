//! Every connector of the crate against the contract.

use proxystore::connectors::memory::MemoryConnector;
use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use proxystore_testkit::{RedisServer, run};
use std::sync::Arc;

#[test]
fn memory() {
    run(|| Arc::new(MemoryConnector::new()));
}

#[test]
fn redis_over_tcp() {
    let server = RedisServer::start(&[]);
    let config = RedisConfig {
        port: server.port(),
        ..RedisConfig::default()
    };
    run(|| Arc::new(RedisConnector::connect(config.clone()).unwrap()));
}

#[test]
fn redis_over_a_unix_socket() {
    let server = RedisServer::start(&[]);
    let config = RedisConfig {
        unix_socket: Some(server.socket()),
        ..RedisConfig::default()
    };
    run(|| Arc::new(RedisConnector::connect(config.clone()).unwrap()));
}

#[test]
fn redis_with_a_password_and_another_database() {
    let server = RedisServer::start(&["--requirepass", "a secret"]);
    let config = RedisConfig {
        port: server.port(),
        password: Some("a secret".to_owned()),
        db: 3,
        bare_keys: true,
        ..RedisConfig::default()
    };
    run(|| Arc::new(RedisConnector::connect(config.clone()).unwrap()));
}
