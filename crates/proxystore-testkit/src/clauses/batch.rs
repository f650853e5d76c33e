//! Several objects in one call.

use super::{Applies, always};
use crate::Trial;
use crate::content::{assert_holds, assert_same, content};
use proxystore::{Access, Connector, Payload};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (
        Trial::new("an_empty_batch_does_nothing", empty_batch),
        always,
    ),
    (Trial::new("a_batch_keeps_its_order", keeps_order), always),
    (
        Trial::new("a_batch_of_many_small_objects", many_small),
        always,
    ),
    (Trial::new("a_key_twice_in_a_batch", key_twice), always),
    (
        Trial::new("a_batch_evicts_its_own_keys_only", evicts_its_own),
        always,
    ),
];

fn empty_batch(connector: &dyn Connector) {
    assert!(connector.put_batch(&[]).expect("put_batch").is_empty());
    assert!(
        connector
            .get_batch(&[], Access::Auto)
            .expect("get_batch")
            .is_empty()
    );
    connector.evict_batch(&[]).expect("evict_batch");
}

fn keeps_order(connector: &dyn Connector) {
    let lens: Vec<_> = super::sizes::sizes(connector)
        .filter(|len| *len <= 5_000_000)
        .collect();
    // Small beside large, as they come in practice.
    let parts: Vec<_> = lens
        .iter()
        .chain(lens.iter().rev())
        .enumerate()
        .map(|(seed, len)| content(seed as u64, *len))
        .collect();
    let payloads: Vec<_> = parts.iter().map(|part| Payload::from_bytes(part)).collect();
    let keys = connector.put_batch(&payloads).expect("put_batch");
    assert_eq!(keys.len(), parts.len());
    for access in [Access::Auto, Access::View] {
        let blobs = connector.get_batch(&keys, access).expect("get_batch");
        assert_eq!(blobs.len(), parts.len());
        for (blob, part) in blobs.iter().zip(&parts) {
            assert_same(blob.as_ref().expect("just put"), part);
        }
    }
    for (key, part) in keys.iter().zip(&parts) {
        assert_holds(connector, key, Access::Auto, part);
    }
    connector.evict_batch(&keys).expect("evict_batch");
    let blobs = connector.get_batch(&keys, Access::Auto).expect("get_batch");
    assert!(blobs.iter().all(Option::is_none));
}

fn many_small(connector: &dyn Connector) {
    let parts: Vec<_> = (0..2500)
        .map(|seed| content(seed, 10 + seed as usize % 100))
        .collect();
    let payloads: Vec<_> = parts.iter().map(|part| Payload::from_bytes(part)).collect();
    let keys = connector.put_batch(&payloads).expect("put_batch");
    let blobs = connector.get_batch(&keys, Access::Auto).expect("get_batch");
    assert_eq!(blobs.len(), parts.len());
    for (blob, part) in blobs.iter().zip(&parts) {
        assert_same(blob.as_ref().expect("just put"), part);
    }
    connector.evict_batch(&keys).expect("evict_batch");
}

fn key_twice(connector: &dyn Connector) {
    let bytes = content(1, 5000);
    let key = connector.put(&Payload::from_bytes(&bytes)).expect("put");
    let keys = [key.clone(), key.clone()];
    let blobs = connector.get_batch(&keys, Access::Copy).expect("get_batch");
    let [Some(first), Some(second)] = &blobs[..] else {
        panic!("both should be there: {blobs:?}")
    };
    // SAFETY: a copy takes writes; nobody holds a slice of it now.
    unsafe { first.as_ptr().write_bytes(0, first.len()) };
    assert_same(second, &bytes);
    connector.evict_batch(&keys).expect("evict_batch");
    assert!(!connector.exists(&key).expect("exists"));
}

fn evicts_its_own(connector: &dyn Connector) {
    let payloads = vec![Payload::from_bytes(b"x"); 10];
    let keys = connector.put_batch(&payloads).expect("put_batch");
    connector.evict_batch(&keys[..5]).expect("evict_batch");
    let there: Vec<_> = keys
        .iter()
        .map(|key| connector.exists(key).expect("exists"))
        .collect();
    assert_eq!(
        there,
        [
            false, false, false, false, false, true, true, true, true, true
        ]
    );
}
