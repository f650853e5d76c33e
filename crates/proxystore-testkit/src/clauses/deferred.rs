//! Keys that are made before their object.

use super::{Applies, deferred_set};
use crate::Trial;
use crate::content::{assert_holds, content};
use std::time::{Duration, Instant};

use proxystore::{Access, Connector, ErrorKind, Payload};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (
        Trial::new("a_key_made_first_is_set_later", set_later),
        deferred_set,
    ),
    (
        Trial::new("a_set_replaces_what_was_there", replaces),
        deferred_set,
    ),
    (
        Trial::new("an_evicted_key_can_be_set_again", set_again),
        deferred_set,
    ),
    (
        Trial::new("a_wait_ends_when_the_object_is_set", wait_is_told),
        deferred_set,
    ),
    (
        Trial::new("a_wait_is_told_and_does_not_ask", wait_is_told_at_once),
        |capability| capability.notify,
    ),
    (
        Trial::new("a_wait_ends_when_its_time_is_over", wait_gives_up),
        super::always,
    ),
    (
        Trial::new("a_set_that_is_not_supported_says_so", unsupported),
        |capability| !capability.deferred_set,
    ),
];

fn set_later(connector: &dyn Connector) {
    for len in super::sizes::sizes(connector).filter(|len| *len <= 5_000_000) {
        let key = connector.new_key();
        assert!(
            !connector.exists(&key).expect("exists"),
            "a new key holds something"
        );
        assert!(connector.get(&key, Access::Auto).expect("get").is_none());
        let bytes = content(1, len);
        connector
            .set(&key, &Payload::from_bytes(&bytes))
            .expect("set");
        assert!(connector.exists(&key).expect("exists"));
        assert_holds(connector, &key, Access::Auto, &bytes);
        connector.evict(&key).expect("evict");
    }
}

fn wait_is_told(connector: &dyn Connector) {
    for len in [10, 100_000] {
        let key = connector.new_key();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                // It may come back early, but never with a wrong answer.
                while !connector.wait(&key, Duration::from_secs(60)).expect("wait") {}
                assert!(connector.exists(&key).expect("exists"));
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiter.is_finished(), "there is nothing yet");
            connector
                .set(&key, &Payload::from_bytes(&content(1, len)))
                .expect("set");
        });
        assert!(connector.wait(&key, Duration::ZERO).expect("wait"));
        connector.evict(&key).expect("evict");
    }
}

/// A connector that only looked now and then, once a second say, would take a minute.
fn wait_is_told_at_once(connector: &dyn Connector) {
    const ROUNDS: u32 = 40;
    let mut waited = Duration::ZERO;
    for _ in 0..ROUNDS {
        let key = connector.new_key();
        let set = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while !connector.wait(&key, Duration::from_secs(60)).expect("wait") {}
                Instant::now()
            });
            std::thread::sleep(Duration::from_millis(20));
            let began = Instant::now();
            connector
                .set(&key, &Payload::from_bytes(b"here"))
                .expect("set");
            waiter
                .join()
                .expect("a waiter")
                .saturating_duration_since(began)
        });
        waited += set;
        connector.evict(&key).expect("evict");
    }
    assert!(
        waited < Duration::from_millis(150) * ROUNDS,
        "it was told of {ROUNDS} sets after {waited:?} in all"
    );
}

fn wait_gives_up(connector: &dyn Connector) {
    let key = connector.new_key();
    for timeout in [Duration::ZERO, Duration::from_millis(30)] {
        assert!(!connector.wait(&key, timeout).expect("wait"));
    }
}

fn replaces(connector: &dyn Connector) {
    let key = connector.new_key();
    for (seed, len) in [10, 5_000_000, 3_000_000, 70_000, 0, 2_000_000, 65_536, 1]
        .iter()
        .enumerate()
    {
        if connector
            .capability()
            .max_len
            .is_some_and(|most| *len as u64 > most)
        {
            continue;
        }
        let bytes = content(seed as u64, *len);
        connector
            .set(&key, &Payload::from_bytes(&bytes))
            .expect("set");
        for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
            assert_holds(connector, &key, access, &bytes);
        }
    }
}

fn set_again(connector: &dyn Connector) {
    let key = connector.put(&Payload::from_bytes(b"first")).expect("put");
    connector.evict(&key).expect("evict");
    connector
        .set(&key, &Payload::from_bytes(b"second"))
        .expect("set");
    assert_holds(connector, &key, Access::Auto, b"second");
}

fn unsupported(connector: &dyn Connector) {
    let error = connector
        .set(&connector.new_key(), &Payload::from_bytes(b"x"))
        .expect_err("its capability says that it cannot");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
