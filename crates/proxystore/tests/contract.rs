//! Every connector of the crate against the contract.

use proxystore::Key;
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::connectors::memory::MemoryConnector;
use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
use proxystore_testkit::{RedisServer, run};
use std::path::Path;
use std::sync::Arc;

#[test]
fn memory() {
    run(|| Arc::new(MemoryConnector::new()));
}

#[test]
fn files_in_memory_and_on_disk() {
    for root in ["/dev/shm", env!("CARGO_TARGET_TMPDIR")] {
        let all = Path::new(root).join(format!("proxystore-test-{}", Key::fresh()));
        run(|| {
            let dir = all.join(Key::fresh().as_str());
            Arc::new(FileConnector::open(FileConfig::new(dir)).unwrap())
        });
        std::fs::remove_dir_all(&all).unwrap();
    }
}

#[test]
fn shared_memory() {
    run(|| Arc::new(SharedMemoryConnector::create(SharedMemoryConfig::default()).unwrap()));
}

#[test]
fn shared_memory_that_spills_everything() {
    run(|| {
        let config = SharedMemoryConfig {
            limit: Some(0),
            ..SharedMemoryConfig::default()
        };
        Arc::new(SharedMemoryConnector::create(config).unwrap())
    });
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
