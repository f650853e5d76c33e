//! Every connector of the crate against the contract, each with what it must be able to do.

use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::connectors::memory::MemoryConnector;
use proxystore::connectors::multi::MultiConnector;
use proxystore::connectors::object_store::{ObjectStoreConfig, ObjectStoreConnector, Provider};
use proxystore::connectors::redis::{ClusterConfig, RedisConfig, RedisConnector};
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
use proxystore::routing::Policy;
use proxystore::{Access, Capability, Connector, ErrorKind, Payload};
use proxystore_testkit::{RedisCluster, RedisServer, Report, S3Server, run};
use std::path::PathBuf;
use std::sync::Arc;

/// A directory of the test's own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &str, name: &str) -> Self {
        let path = PathBuf::from(parent).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory of its own");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the suite on a connector that must declare these capabilities.
fn hold(must: fn(&Capability) -> bool, factory: impl Fn() -> Arc<dyn Connector>) -> Report {
    let capability = factory().capability();
    assert!(
        must(&capability),
        "it should be able to do more: {capability:?}"
    );
    run(factory)
}

#[test]
fn memory() {
    hold(
        |can| can.deferred_set && can.keeps_owners,
        || Arc::new(MemoryConnector::new()),
    );
}

#[test]
fn file_on_disk() {
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "contract-file");
    hold(
        |can| can.deferred_set && can.cross_process && can.expiry && can.process_bound,
        || Arc::new(FileConnector::open(FileConfig::new(&scratch.0)).expect("open")),
    );
}

#[test]
fn file_in_shared_memory() {
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-file");
    hold(
        |can| can.deferred_set && can.cross_process,
        || Arc::new(FileConnector::open(FileConfig::new(&scratch.0)).expect("open")),
    );
}

#[test]
fn shared_memory() {
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-shm");
    let config = SharedMemoryConfig::default().dir(scratch.0.clone());
    hold(
        |can| can.deferred_set && can.cross_process,
        || Arc::new(SharedMemoryConnector::create(config.clone()).expect("create")),
    );
}

#[test]
fn shared_memory_that_spills() {
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-spill");
    let spill = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "contract-spill");
    let config = SharedMemoryConfig::default()
        .dir(scratch.0.clone())
        .spill_dir(spill.0.clone())
        .limit(2 << 20);
    hold(
        |can| can.deferred_set && can.cross_process,
        || Arc::new(SharedMemoryConnector::create(config.clone()).expect("create")),
    );
}

fn redis(config: &RedisConfig) -> Report {
    hold(
        |can| {
            can.deferred_set
                && can.batch
                && can.cross_process
                && can.cross_host
                && can.expiry
                && can.notify
        },
        || Arc::new(RedisConnector::connect(config.clone()).expect("connect")),
    )
}

#[test]
fn redis_over_tcp() {
    let server = RedisServer::start(&[]);
    redis(&RedisConfig::default().port(server.port()));
}

#[test]
fn redis_over_a_unix_socket() {
    let server = RedisServer::start(&[]);
    redis(&RedisConfig::default().unix_socket(server.socket()));
}

#[test]
fn redis_with_a_password_and_another_database() {
    let server = RedisServer::start(&["--requirepass", "a secret"]);
    redis(
        &RedisConfig::default()
            .port(server.port())
            .password("a secret")
            .db(3)
            .bare_keys(true),
    );
}

#[test]
fn redis_cluster() {
    let cluster = RedisCluster::start(&[]);
    let nodes = ClusterConfig::new(cluster.addresses());
    redis(&RedisConfig::default().cluster(nodes));
}

fn bucket(endpoint: String) -> ObjectStoreConfig {
    ObjectStoreConfig::new(Provider::S3, "bucket")
        .endpoint(endpoint)
        .prefix("contract")
        .username("anybody")
        .password("anything")
}

#[test]
fn object_store_in_s3() {
    let server = S3Server::start();
    let config = bucket(server.endpoint());
    hold(
        |can| can.deferred_set && can.batch && can.cross_process && can.cross_host && can.expiry,
        || Arc::new(ObjectStoreConnector::connect(config.clone()).expect("connect")),
    );
    assert_eq!(server.parts(), 0, "parts were left behind");
}

#[test]
fn the_table_in_the_docs_is_what_runs() {
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-table");
    let config = SharedMemoryConfig::default().dir(scratch.0.clone());
    let file = FileConnector::open(FileConfig::new(scratch.0.join("files"))).expect("open");
    let shared = SharedMemoryConnector::create(config).expect("create");
    // It connects when it is first used.
    let redis = RedisConnector::new(RedisConfig::default()).expect("a sound configuration");
    let objects = ObjectStoreConnector::new(bucket("http://127.0.0.1:1".to_owned()));
    let objects = objects.expect("a sound configuration");
    // What an endpoint declares; the command's own test compares this column with a real one.
    let mut endpoint = Capability::default();
    endpoint.deferred_set = true;
    endpoint.batch = true;
    endpoint.cross_process = true;
    endpoint.cross_host = true;
    endpoint.max_len = Some(1);
    let table = proxystore_testkit::coverage(&[
        ("memory", MemoryConnector::new().capability()),
        ("file", file.capability()),
        ("shm", shared.capability()),
        ("redis", redis.capability()),
        ("object store", objects.capability()),
        ("endpoint", endpoint),
    ]);
    let page = include_str!("../../../docs/connectors.md");
    assert!(
        page.contains(&table),
        "docs/connectors.md should have:\n{table}"
    );
}

fn several(server: &RedisServer, scratch: &Scratch) -> MultiConnector {
    let file = FileConnector::open(FileConfig::new(&scratch.0)).expect("open");
    let redis = RedisConnector::connect(RedisConfig::default().port(server.port()));
    let (small, middle) = (Policy::default(), Policy::default().priority(-1));
    MultiConnector::new()
        .with("large", Policy::default().priority(-2), Arc::new(file))
        .and_then(|multi| multi.with("small", small.max_size(100), Arc::new(redis?)))
        .and_then(|multi| {
            let memory = Arc::new(MemoryConnector::new());
            multi.with("middle", middle.min_size(1000).max_size(100_000), memory)
        })
        .expect("sound names")
}

#[test]
fn multi() {
    let server = RedisServer::start(&[]);
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-multi");
    hold(
        |can| can.deferred_set && !can.cross_process && !can.keeps_owners,
        || Arc::new(several(&server, &scratch)),
    );
}

#[test]
fn multi_sends_each_object_where_its_policy_says() {
    let server = RedisServer::start(&[]);
    let scratch = Scratch::new("/dev/shm", "proxystore-contract-routes");
    let multi = several(&server, &scratch);
    let payloads = [50, 500, 5000, 50].map(|len| vec![7_u8; len]);
    let payloads: Vec<_> = payloads
        .iter()
        .map(|bytes| Payload::from_bytes(bytes))
        .collect();
    let keys = multi.put_batch(&payloads).expect("put");
    let names: Vec<_> = keys.iter().map(|key| multi.name_of(key)).collect();
    let expected = ["small", "large", "middle", "small"].map(Some);
    assert_eq!(names, expected);
    let found = multi.get_batch(&keys, Access::Auto).expect("get");
    let lengths: Vec<_> = found
        .iter()
        .map(|one| one.as_ref().map(|blob| blob.len()))
        .collect();
    assert_eq!(lengths, [50, 500, 5000, 50].map(Some));
    assert_eq!(multi.keys().expect("keys").len(), 4);
    let tagged = multi.put_tagged(&payloads[0], &["nobody has it"], &[]);
    assert_eq!(tagged.expect_err("refused").kind(), ErrorKind::Unsupported);
    let dormant = MultiConnector::new()
        .with_url("small", Policy::default().hosts(["elsewhere"]), "memory://")
        .expect("not opened");
    let error = dormant.get(&keys[0], Access::Auto).expect_err("dormant");
    assert_eq!(error.kind(), ErrorKind::WrongHost);
    assert!(dormant.put(&payloads[0]).is_err());
    for name in ["", "a~b", "a/b", "small"] {
        let again = dormant_with(name);
        assert_eq!(again.expect_err(name).kind(), ErrorKind::InvalidConfig);
    }
    multi.close(true).expect("close");
}

fn dormant_with(name: &str) -> proxystore::Result<MultiConnector> {
    MultiConnector::new()
        .with_url("small", Policy::default(), "memory://")?
        .with_url(name, Policy::default(), "memory://")
}
