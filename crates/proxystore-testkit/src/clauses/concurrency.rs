//! Many threads at once.

use super::{Applies, always, deferred_set};
use crate::Trial;
use crate::content::{assert_holds, assert_same, at_once, content, put};
use proxystore::{Access, Connector, Key, Payload};
use std::collections::HashSet;
use std::sync::Mutex;

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (Trial::new("many_threads_put_and_get", put_and_get), always),
    (Trial::new("many_threads_get_one_key", get_one_key), always),
    (Trial::new("many_threads_put_batches", put_batches), always),
    (
        Trial::new("a_get_during_eviction_is_whole_or_none", during_eviction),
        always,
    ),
    (
        Trial::new(
            "sets_of_one_key_at_once_leave_one_whole_value",
            sets_of_one_key,
        ),
        deferred_set,
    ),
];

const THREADS: usize = 8;

fn put_and_get(connector: &dyn Connector) {
    let keys = Mutex::new(HashSet::new());
    at_once(THREADS, |thread| {
        for turn in 0..60 {
            let len = [100, 5000, 70_000, 300_000][turn % 4] + thread;
            let bytes = content((thread * 1000 + turn) as u64, len);
            let key = put(connector, &bytes);
            assert_holds(connector, &key, Access::Auto, &bytes);
            if turn % 2 == 0 {
                connector.evict(&key).expect("evict");
                assert!(!connector.exists(&key).expect("exists"));
            }
            keys.lock().expect("no panic").insert(key);
        }
    });
    let count = keys.into_inner().expect("no panic").len();
    assert_eq!(
        count,
        THREADS * 60,
        "keys of different threads are the same"
    );
}

fn get_one_key(connector: &dyn Connector) {
    for len in [1000, 100_000, 3_000_000] {
        if connector
            .capability()
            .max_len
            .is_some_and(|most| len as u64 > most)
        {
            continue;
        }
        let bytes = content(1, len);
        let key = put(connector, &bytes);
        at_once(THREADS, |_| {
            for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
                assert_holds(connector, &key, access, &bytes);
            }
        });
    }
}

fn put_batches(connector: &dyn Connector) {
    at_once(THREADS, |thread| {
        for turn in 0..10 {
            let parts: Vec<_> = (0..20)
                .map(|seed| content(seed * 7 + thread as u64, 1 + seed as usize * 100 + turn))
                .collect();
            let payloads: Vec<_> = parts.iter().map(|part| Payload::from_bytes(part)).collect();
            let keys = connector.put_batch(&payloads).expect("put_batch");
            let blobs = connector.get_batch(&keys, Access::Auto).expect("get_batch");
            for (blob, part) in blobs.iter().zip(&parts) {
                assert_same(blob.as_ref().expect("just put"), part);
            }
            connector.evict_batch(&keys).expect("evict_batch");
        }
    });
}

fn during_eviction(connector: &dyn Connector) {
    for len in [1000, 100_000, 3_000_000] {
        if connector
            .capability()
            .max_len
            .is_some_and(|most| len as u64 > most)
        {
            continue;
        }
        let bytes = content(2, len);
        for _ in 0..8 {
            let key = put(connector, &bytes);
            at_once(4, |thread| {
                if thread == 0 {
                    connector.evict(&key).expect("evict");
                } else if let Some(blob) = connector.get(&key, Access::Auto).expect("get") {
                    assert_same(&blob, &bytes);
                }
            });
            assert!(!connector.exists(&key).expect("exists"));
        }
    }
}

fn sets_of_one_key(connector: &dyn Connector) {
    let lens: Vec<_> = [100, 70_000, 1_000_000, 2_500_000, 2_500_000, 3_000_000]
        .into_iter()
        .filter(|len| {
            connector
                .capability()
                .max_len
                .is_none_or(|most| *len as u64 <= most)
        })
        .collect();
    let values: Vec<_> = lens
        .iter()
        .enumerate()
        .map(|(seed, len)| content(seed as u64, *len))
        .collect();
    let key = connector.new_key();
    let assert_whole =
        |key: &Key, needed: bool| match connector.get(key, Access::Auto).expect("get") {
            Some(blob) => assert!(
                values.iter().any(|value| value[..] == blob[..]),
                "{} bytes that nobody set",
                blob.len()
            ),
            None => assert!(!needed, "the value is gone"),
        };
    at_once(values.len() + 2, |thread| {
        for _ in 0..10 {
            match values.get(thread) {
                Some(value) => connector
                    .set(&key, &Payload::from_bytes(value))
                    .expect("set"),
                None => assert_whole(&key, false),
            }
        }
    });
    assert_whole(&key, true);
}
