//! What nobody else can change: what was put, and what was got.

use super::{Applies, always, deferred_set};
use crate::Trial;
use crate::content::{assert_holds, assert_same, content, put};
use proxystore::{Access, Blob, Connector, Payload};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (
        Trial::new("the_source_may_change_after_the_put", source_may_change),
        always,
    ),
    (
        Trial::new("writes_into_a_blob_are_private", writes_are_private),
        always,
    ),
    (
        Trial::new("a_blob_outlives_its_eviction", outlives_eviction),
        always,
    ),
    (
        Trial::new("a_blob_outlives_its_replacement", outlives_replacement),
        deferred_set,
    ),
    (
        Trial::new("a_blob_outlives_the_close_of_its_connector", outlives_close),
        always,
    ),
];

const ACCESSES: [Access; 4] = [Access::Auto, Access::Copy, Access::Cow, Access::View];

/// One on each side of the sizes at which connectors change their way.
fn sizes(connector: &dyn Connector) -> impl Iterator<Item = usize> {
    super::sizes::sizes(connector)
        .filter(|len| [1, 1000, 65_535, 65_537, (1 << 20) + 1, 5_000_000].contains(len))
}

fn get(connector: &dyn Connector, key: &proxystore::Key, access: Access) -> Blob {
    connector.get(key, access).expect("get").expect("just put")
}

/// Overwrites every byte, if the blob takes writes.
fn scribble(blob: &Blob) -> bool {
    if blob.is_writable() {
        // SAFETY: the blob says that it takes writes; nobody holds a slice of it now.
        unsafe { blob.as_ptr().write_bytes(0xAA, blob.len()) };
    }
    blob.is_writable()
}

fn source_may_change(connector: &dyn Connector) {
    for len in sizes(connector) {
        let mut bytes = content(1, len);
        let key = put(connector, &bytes);
        bytes.fill(0xAA);
        assert_holds(connector, &key, Access::Auto, &content(1, len));
    }
}

fn writes_are_private(connector: &dyn Connector) {
    for len in sizes(connector) {
        let bytes = content(2, len);
        let key = put(connector, &bytes);
        for access in [Access::Auto, Access::Copy, Access::Cow] {
            let before = ACCESSES.map(|access| get(connector, &key, access));
            let written = get(connector, &key, access);
            if !scribble(&written) {
                continue;
            }
            assert!(
                written.iter().all(|byte| *byte == 0xAA),
                "the write was lost"
            );
            for blob in &before {
                assert_same(blob, &bytes);
            }
            for access in ACCESSES {
                assert_holds(connector, &key, access, &bytes);
            }
        }
    }
}

fn outlives_eviction(connector: &dyn Connector) {
    for len in sizes(connector) {
        let bytes = content(3, len);
        let key = put(connector, &bytes);
        let blobs = ACCESSES.map(|access| get(connector, &key, access));
        connector.evict(&key).expect("evict");
        // Memory that the eviction gave back would be taken by these.
        let others: Vec<_> = (0..4).map(|_| put(connector, &content(4, len))).collect();
        for blob in &blobs {
            assert_same(blob, &bytes);
            scribble(blob);
        }
        drop(blobs);
        for key in others {
            assert_holds(connector, &key, Access::Auto, &content(4, len));
            connector.evict(&key).expect("evict");
        }
    }
}

fn outlives_replacement(connector: &dyn Connector) {
    for len in sizes(connector) {
        let key = connector.new_key();
        let (old, new) = (content(5, len), content(6, len));
        connector
            .set(&key, &Payload::from_bytes(&old))
            .expect("set");
        let blobs = ACCESSES.map(|access| get(connector, &key, access));
        connector
            .set(&key, &Payload::from_bytes(&new))
            .expect("set");
        for blob in &blobs {
            assert_same(blob, &old);
        }
        assert_holds(connector, &key, Access::Auto, &new);
    }
}

fn outlives_close(connector: &dyn Connector) {
    let kept: Vec<_> = sizes(connector)
        .map(|len| {
            let bytes = content(7, len);
            let key = put(connector, &bytes);
            (ACCESSES.map(|access| get(connector, &key, access)), bytes)
        })
        .collect();
    connector.close(true).expect("close");
    for (blobs, bytes) in &kept {
        for blob in blobs {
            assert_same(blob, bytes);
        }
    }
}
