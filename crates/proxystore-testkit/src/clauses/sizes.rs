//! Objects of every size that some path of some connector changes at.

use super::{Applies, always};
use crate::Trial;
use crate::content::{assert_holds, assert_same, content, put, put_framed};
use proxystore::blob::ALIGN;
use proxystore::{Access, Connector, ErrorKind, Payload};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (
        Trial::new("an_empty_object_is_an_object", empty_object),
        always,
    ),
    (Trial::new("objects_of_every_size", every_size), always),
    (Trial::new("frames_of_every_size", every_frame_size), always),
    (Trial::new("an_object_of_many_pieces", many_pieces), always),
    (
        Trial::new("an_object_of_uneven_pieces", uneven_pieces),
        always,
    ),
    (
        Trial::new("every_access_gives_the_same_bytes", every_access),
        always,
    ),
    (
        Trial::new("an_object_over_the_limit_is_refused", over_the_limit),
        |capability| {
            capability
                .max_len
                .is_some_and(|max_len| max_len < TRIED_LIMIT)
        },
    ),
];

/// Larger limits are not tried: the object would have to be in memory.
const TRIED_LIMIT: u64 = 256 << 20;

pub(super) const SIZES: [usize; 25] = [
    0,
    1,
    2,
    63,
    64,
    65,
    1000,
    4095,
    4096,
    4097,
    16_383,
    16_385,
    65_535,
    65_536,
    65_537,
    262_145,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    (2 << 20) - 1,
    (2 << 20) + 1,
    (4 << 20) - 1,
    (4 << 20) + 1,
    5_000_000,
    20_000_000,
];

/// Those of the sizes that the connector takes, with room for a frame's head.
pub(super) fn sizes(connector: &dyn Connector) -> impl Iterator<Item = usize> {
    let most = connector.capability().max_len.unwrap_or(u64::MAX);
    SIZES
        .into_iter()
        .filter(move |len| *len as u64 + 256 <= most)
}

fn empty_object(connector: &dyn Connector) {
    let key = connector.put(&Payload::new(&[])).expect("put");
    assert!(connector.exists(&key).expect("exists"));
    for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
        assert_holds(connector, &key, access, b"");
    }
    let payloads = [
        Payload::new(&[]),
        Payload::from_bytes(b"x"),
        Payload::new(&[]),
    ];
    let keys = connector.put_batch(&payloads).expect("put_batch");
    let blobs = connector.get_batch(&keys, Access::Auto).expect("get_batch");
    let lens: Vec<_> = blobs
        .iter()
        .map(|blob| blob.as_ref().map(|blob| blob.len()))
        .collect();
    assert_eq!(lens, [Some(0), Some(1), Some(0)]);
}

fn every_size(connector: &dyn Connector) {
    for len in sizes(connector) {
        let bytes = content(len as u64, len);
        let key = put(connector, &bytes);
        assert_holds(connector, &key, Access::Auto, &bytes);
        connector.evict(&key).expect("evict");
        assert!(connector.get(&key, Access::Auto).expect("get").is_none());
    }
}

fn every_frame_size(connector: &dyn Connector) {
    for len in sizes(connector) {
        let (key, bytes) = put_framed(connector, &content(len as u64, len));
        let blob = connector
            .get(&key, Access::Auto)
            .expect("get")
            .expect("just put");
        assert_same(&blob, &bytes);
        proxystore::frame::Frame::parse(&blob).expect("a sound frame");
        connector.evict(&key).expect("evict");
    }
}

fn many_pieces(connector: &dyn Connector) {
    // More than the 1024 that one writev takes.
    let bytes = content(3, 60_000);
    let pieces: Vec<&[u8]> = bytes.chunks(19).collect();
    assert!(pieces.len() > 3000);
    let key = connector.put(&Payload::new(&pieces)).expect("put");
    assert_holds(connector, &key, Access::Auto, &bytes);
}

fn uneven_pieces(connector: &dyn Connector) {
    let most = connector.capability().max_len.unwrap_or(u64::MAX);
    let lens = [
        1,
        (1 << 20) + 1,
        3,
        0,
        700_000,
        64,
        5_000_000,
        1,
        1,
        (1 << 20) - 1,
        2,
    ];
    if lens.iter().sum::<usize>() as u64 > most {
        return;
    }
    let parts: Vec<_> = lens.iter().map(|len| content(*len as u64, *len)).collect();
    let pieces: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let key = connector.put(&Payload::new(&pieces)).expect("put");
    assert_holds(connector, &key, Access::Auto, &parts.concat());
}

fn every_access(connector: &dyn Connector) {
    for len in sizes(connector).filter(|len| *len <= 5_000_000) {
        let (key, bytes) = put_framed(connector, &content(len as u64, len));
        for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
            let blob = connector.get(&key, access).expect("get").expect("just put");
            assert_same(&blob, &bytes);
            if access == Access::Copy {
                assert!(blob.is_writable(), "a copy of {len} bytes takes no writes");
            }
            if blob.is_writable() {
                let address = blob.as_ptr() as usize;
                assert_eq!(
                    address % ALIGN,
                    0,
                    "{len} bytes with {access:?} are not aligned"
                );
            }
        }
    }
}

fn over_the_limit(connector: &dyn Connector) {
    let most = connector.capability().max_len.expect("chosen by it") as usize;
    let bytes = content(1, most + 1);
    let error = connector
        .put(&Payload::from_bytes(&bytes))
        .expect_err("one byte too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let key = put(connector, &bytes[..most]);
    assert_holds(connector, &key, Access::Auto, &bytes[..most]);
}
