//! Objects in a real server: parts, ranges, names, leases, threads of a runtime.

use super::{config, open};
use proxystore::connectors::object_store::ObjectStoreConnector;
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Payload};
use proxystore_testkit::{S3Server, content};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn large_objects_go_in_parts_into_one_aligned_buffer() {
    let server = S3Server::start();
    let connector = open(config(&server.endpoint(), "parts"));
    // Around what goes whole, and around the ranges.
    for len in [
        (8 << 20) - 1,
        8 << 20,
        (8 << 20) + 1,
        16 << 20,
        (16 << 20) + 1,
        40_000_001,
    ] {
        let bytes = content(len as u64, len);
        let payload = Payload::new(&[&bytes[..7], &bytes[7..len / 2], &bytes[len / 2..]]);
        let key = connector.put(&payload).expect("put");
        let found = connector
            .get(&key, Access::Auto)
            .expect("get")
            .expect("just put");
        assert!(found[..] == bytes, "{len}");
        assert!(found.is_writable());
        assert_eq!(found.as_ptr() as usize % proxystore::blob::ALIGN, 0);
        connector.evict(&key).expect("evict");
    }
    assert_eq!((server.parts(), server.names().len()), (0, 0));
}

/// Ranges of one object are never joined with those of another.
#[test]
fn an_object_that_is_replaced_is_read_whole() {
    let server = S3Server::start();
    let connector = open(config(&server.endpoint(), "replaced"));
    let values = [content(1, 20 << 20), content(2, 25 << 20)];
    let key = connector.new_key();
    connector
        .set(&key, &Payload::from_bytes(&values[0]))
        .expect("set");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..8 {
                let payload = Payload::from_bytes(&values[round % 2]);
                connector.set(&key, &payload).expect("set");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) && !writer.is_finished() {
            match connector.get(&key, Access::Auto) {
                Ok(found) => {
                    let found = found.expect("it is always there");
                    assert!(values.iter().any(|value| found[..] == value[..]), "torn");
                }
                Err(error) => assert!(error.to_string().contains("replaced again"), "{error}"),
            }
        }
    });
}

#[test]
fn clearing_leaves_what_others_put() {
    let server = S3Server::start();
    let at =
        |prefix: &str, namespace: &str| open(config(&server.endpoint(), namespace).prefix(prefix));
    let theirs = [
        at("", "team"),
        at("a", "team2"),
        at("a/team", "team"),
        at("ab", "team"),
    ];
    let keys: Vec<_> = theirs
        .iter()
        .map(|one| one.put_bytes(b"theirs").expect("put"))
        .collect();
    let ours = at("a", "team");
    let leased = Payload::from_bytes(b"ours").with_lease(Duration::from_secs(600));
    ours.put(&leased).expect("put");
    assert!(server.names().len() > 4);
    ours.close(true).expect("close");
    for (one, key) in theirs.iter().zip(&keys) {
        assert!(one.exists(key).expect("exists"));
    }
    // Also that whose prefix is our namespace's own name.
    assert_eq!(server.names().len(), 4);
}

#[test]
fn the_next_opener_sweeps() {
    let server = S3Server::start();
    let here = config(&server.endpoint(), "leases");
    let connector = open(here.clone());
    let short = Payload::from_bytes(b"short").with_lease(Duration::from_millis(1));
    let long = Payload::from_bytes(b"long").with_lease(Duration::from_secs(600));
    connector.put_batch(&vec![short; 20]).expect("put");
    let kept = connector.put(&long).expect("put");
    assert_eq!(server.names().len(), 63);
    std::thread::sleep(Duration::from_millis(5));
    let next = ObjectStoreConnector::connect(here).expect("connect");
    let until = Instant::now() + Duration::from_secs(30);
    while server.names().len() > 3 {
        assert!(Instant::now() < until, "{:?}", server.names());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(next.exists(&kept).expect("exists"));
    // One that is renewed leaves one mark of its time, not two.
    assert_eq!(
        next.touch(&[kept], Duration::from_secs(900))
            .expect("touch"),
        [true]
    );
    assert_eq!(server.names().len(), 3);
}

#[test]
fn without_leases_there_are_none() {
    let server = S3Server::start();
    let connector = open(config(&server.endpoint(), "without").leases(false));
    assert!(!connector.capability().expiry);
    let key = connector.put_bytes(b"x").expect("put");
    let refused = connector.touch(std::slice::from_ref(&key), Duration::from_secs(1));
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Unsupported);
    assert_eq!(
        connector.get_vec(&key).expect("get").as_deref(),
        Some(&b"x"[..])
    );
    connector.evict(&key).expect("evict");
    assert!(server.names().is_empty());
}

/// A program with a runtime of its own may call from its threads.
#[test]
fn a_thread_of_a_runtime_may_wait() {
    let server = S3Server::start();
    let connector = open(config(&server.endpoint(), "runtime"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let key = connector.put_bytes(b"inside").expect("put");
        assert!(connector.exists(&key).expect("exists"));
        connector.close(true).expect("close");
    });
}
