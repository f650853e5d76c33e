//! Bytes to store, and to look for.

use proxystore::frame::{Codec, FrameBuilder};
use proxystore::{Access, Connector, Key, Payload};

/// Bytes to store: the same for one seed, others for another. No part of them is like another one,
/// so that every misplaced piece shows.
///
/// ```
/// use proxystore_testkit::content;
///
/// assert_eq!(content(1, 100)[..60], content(1, 60));
/// assert_ne!(content(1, 100), content(2, 100));
/// ```
#[must_use]
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; len];
    for word in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    bytes
}

/// Stores unframed bytes.
pub(crate) fn put(connector: &dyn Connector, bytes: &[u8]) -> Key {
    connector.put(&Payload::from_bytes(bytes)).expect("put")
}

/// Stores one frame around `bytes` and returns what a get must give.
pub(crate) fn put_framed(connector: &dyn Connector, bytes: &[u8]) -> (Key, Vec<u8>) {
    let mut builder = FrameBuilder::new(Codec::Pickle);
    let (stream, buffer) = bytes.split_at(bytes.len() / 3);
    builder.push_stream(stream);
    builder.push_buffer(buffer);
    builder.push_buffer(b"");
    let head = builder.head();
    let payload = builder.payload(&head);
    (connector.put(&payload).expect("put"), payload.to_vec())
}

/// Asserts that a key holds exactly these bytes, for one access hint.
#[track_caller]
pub(crate) fn assert_holds(connector: &dyn Connector, key: &Key, access: Access, bytes: &[u8]) {
    let blob = connector.get(key, access).expect("get");
    let Some(blob) = blob else {
        panic!("{key} holds nothing, not {} bytes", bytes.len())
    };
    assert_same(&blob, bytes);
}

/// Asserts equality without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], wanted: &[u8]) {
    assert_eq!(got.len(), wanted.len(), "length");
    if got == wanted {
        return;
    }
    if let Some(at) = got.iter().zip(wanted).position(|(a, b)| a != b) {
        panic!(
            "byte {at} of {} is {}, not {}",
            got.len(),
            got[at],
            wanted[at]
        );
    }
}

/// Runs `work` on `count` threads at once; a panic of one is a panic of this one.
pub(crate) fn at_once(count: usize, work: impl Fn(usize) + Sync) {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number);
                })
            })
            .collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
