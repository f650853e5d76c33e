//! Keys that are there and keys that are not.

use super::{Applies, always, deferred_set};
use crate::Trial;
use crate::content::{assert_holds, assert_same, content, put};
use proxystore::{Access, Connector, Key, Payload};
use std::collections::HashSet;

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (Trial::new("says_what_it_is", says_what_it_is), always),
    (
        Trial::new("missing_keys_are_no_error", missing_keys_are_no_error),
        always,
    ),
    (
        Trial::new("what_was_put_is_there_until_evicted", until_evicted),
        always,
    ),
    (
        Trial::new("a_quick_get_is_a_get_or_declines", quick_get),
        always,
    ),
    (Trial::new("keys_are_unique", keys_are_unique), always),
    (
        Trial::new("keys_survive_as_text", keys_survive_as_text),
        always,
    ),
    (
        Trial::new("any_sound_key_can_be_set", any_sound_key_can_be_set),
        deferred_set,
    ),
];

fn says_what_it_is(connector: &dyn Connector) {
    let kind = connector.kind();
    let sound = !kind.is_empty()
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-');
    assert!(sound, "the kind {kind:?} is no short lower-case name");
    assert!(!connector.to_string().is_empty(), "displays as nothing");
    assert!(!format!("{connector:?}").is_empty(), "debugs as nothing");
    let _ = (connector.is_quick(0), connector.is_quick(usize::MAX));
    assert_eq!(connector.capability(), connector.capability());
}

fn missing_keys_are_no_error(connector: &dyn Connector) {
    let missing = [Key::fresh(), Key::fresh(), Key::fresh()];
    for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
        assert!(connector.get(&missing[0], access).expect("get").is_none());
        let batch = connector.get_batch(&missing, access).expect("get_batch");
        assert_eq!(batch.len(), 3);
        assert!(batch.iter().all(Option::is_none));
    }
    assert!(!connector.exists(&missing[0]).expect("exists"));
    connector.evict(&missing[0]).expect("evict");
    connector.evict_batch(&missing).expect("evict_batch");

    let key = put(connector, b"there");
    let keys = [missing[0].clone(), key.clone(), missing[1].clone()];
    let batch = connector.get_batch(&keys, Access::Auto).expect("get_batch");
    assert_eq!(batch[1].as_deref(), Some(&b"there"[..]));
    assert!(batch[0].is_none() && batch[2].is_none());
    connector.evict_batch(&keys).expect("evict_batch");
    assert!(!connector.exists(&key).expect("exists"));
}

fn until_evicted(connector: &dyn Connector) {
    let (first, second) = (content(1, 1000), content(2, 1000));
    let (key, other) = (put(connector, &first), put(connector, &second));
    for _ in 0..3 {
        assert!(connector.exists(&key).expect("exists"));
        assert_holds(connector, &key, Access::Auto, &first);
    }
    connector.evict(&key).expect("evict");
    assert!(!connector.exists(&key).expect("exists"));
    assert!(connector.get(&key, Access::Auto).expect("get").is_none());
    connector.evict(&key).expect("evict once more");
    assert_holds(connector, &other, Access::Auto, &second);
}

fn quick_get(connector: &dyn Connector) {
    let missing = connector.new_key();
    let quick = connector
        .get_quick(&missing, Access::Auto)
        .expect("get_quick");
    assert!(
        quick.is_none_or(|found| found.is_none()),
        "found what is not there"
    );
    for len in [0, 100, 70_000, 3_000_000] {
        if connector
            .capability()
            .max_len
            .is_some_and(|most| len as u64 > most)
        {
            continue;
        }
        let bytes = content(4, len);
        let key = put(connector, &bytes);
        for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
            let quick = connector.get_quick(&key, access).expect("get_quick");
            if let Some(found) = quick {
                assert_same(&found.expect("just put"), &bytes);
            }
        }
    }
}

fn keys_are_unique(connector: &dyn Connector) {
    let mut keys: HashSet<Key> = (0..50).map(|_| put(connector, b"same bytes")).collect();
    keys.extend((0..50).map(|_| connector.new_key()));
    let payloads = vec![Payload::from_bytes(b"same bytes"); 50];
    keys.extend(connector.put_batch(&payloads).expect("put_batch"));
    assert_eq!(keys.len(), 150);
}

fn keys_survive_as_text(connector: &dyn Connector) {
    let key = put(connector, b"value");
    let copy = Key::new(key.as_str()).expect("a key that is one");
    assert_holds(connector, &copy, Access::Auto, b"value");
}

fn any_sound_key_can_be_set(connector: &dyn Connector) {
    let long = "x".repeat(255);
    let names = [
        "a", "A", "a b", "a*", "a?", "[a]", "ab", "%41", "..a", "-a", "a:b", "a\\b", "a\nb", "ä🙂",
        "a'b\"c", &long,
    ];
    let keys: Vec<_> = names.map(|name| Key::new(name).expect("sound")).into();
    for (seed, key) in keys.iter().enumerate() {
        let bytes = content(seed as u64, 50);
        connector
            .set(key, &Payload::from_bytes(&bytes))
            .expect("set");
    }
    for (seed, key) in keys.iter().enumerate() {
        assert!(connector.exists(key).expect("exists"), "{key:?}");
        assert_holds(connector, key, Access::Auto, &content(seed as u64, 50));
    }
    for (at, key) in keys.iter().enumerate() {
        connector.evict(key).expect("evict");
        assert!(!connector.exists(key).expect("exists"), "{key:?}");
        for other in &keys[at + 1..] {
            assert!(
                connector.exists(other).expect("exists"),
                "{key:?} took {other:?}"
            );
        }
    }
}
