//! Values above Redis's comfort: cut into chunks under keys of their own, with a head under the
//! key that the caller knows.

use crate::{Key, Payload};
use xxhash_rust::xxh3::xxh3_64;

/// Values above this are cut. One command and one answer are quickest up to here.
const CUT_ABOVE: usize = 1 << 20;
/// Bytes of a chunk, and how many of them are on their way at once, in either direction. Together
/// they keep the line busy while the server's buffers stay small enough to be recycled, and in its
/// processor's cache: with 100 MB over loopback, 4 chunks of 512 kB took 54 ms to put and 35 ms to
/// get, where 8 of 1 MB took 87 and 55, and one whole value 116 and 127 (medians, two busy cores).
pub(super) const CHUNK_LEN: usize = 512 << 10;
pub(super) const WINDOW: usize = 4;
/// Chunks whose head never came (their writer died) go after this many milliseconds, or when their
/// object's lease would have ended.
pub(super) const ORPHANS_LIVE: &[u8] = b"86400000";

const MAGIC: [u8; 8] = *b"\0PXchunk";
const ID_LEN: usize = 26;

/// Bytes of a head.
pub(super) const HEAD_LEN: usize = 56;

/// What stands under the caller's key in place of the value.
///
/// ```text
/// 0  magic "\0PXchunk"   8  length of the value u64   16  length of a chunk u64
/// 24 name of the chunks, 26 bytes of text             50  xxh3 of all before, lower 48 bits
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) len: usize,
    pub(super) chunk_len: usize,
    id: Box<str>,
    /// In a cluster, what puts the chunks into their object's slot. It is not stored.
    tag: Option<u32>,
}

impl ChunkHead {
    /// Chunks with a name of their own for a value of this length.
    pub(super) fn fresh(len: usize) -> Self {
        Self {
            len,
            chunk_len: CHUNK_LEN,
            id: Key::fresh().as_str().into(),
            tag: None,
        }
    }

    /// The same with a tag in the names of its chunks.
    pub(super) fn with_tag(self, tag: Option<u32>) -> Self {
        Self { tag, ..self }
    }

    pub(super) fn to_bytes(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&(self.len as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&(self.chunk_len as u64).to_le_bytes());
        bytes[24..50].copy_from_slice(self.id.as_bytes());
        let sum = xxh3_64(&bytes[..50]).to_le_bytes();
        bytes[50..].copy_from_slice(&sum[..6]);
        bytes
    }

    /// Reads a head. `None` if these are bytes like any others.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HEAD_LEN || bytes[..8] != MAGIC {
            return None;
        }
        if bytes[50..] != xxh3_64(&bytes[..50]).to_le_bytes()[..6] {
            return None;
        }
        let number = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[at..at + 8]);
            usize::try_from(u64::from_le_bytes(raw)).ok()
        };
        let (len, chunk_len) = (number(8)?, number(16)?);
        let id = std::str::from_utf8(&bytes[24..50]).ok()?;
        let sound = chunk_len > 0 && id.len() == ID_LEN;
        sound.then(|| Self {
            len,
            chunk_len,
            id: id.into(),
            tag: None,
        })
    }

    /// How many chunks there are.
    pub(super) fn count(&self) -> usize {
        self.len.div_ceil(self.chunk_len)
    }

    /// The server's key of one chunk. `/` is in no key of a caller's.
    pub(super) fn name(&self, prefix: &str, index: usize) -> Vec<u8> {
        match self.tag {
            None => format!("{prefix}/{}/{index}", self.id).into_bytes(),
            Some(tag) => format!("{prefix}/{{{tag}}}{}/{index}", self.id).into_bytes(),
        }
    }
}

/// Whether a value has to be cut: it is long, or begins as a head does and would be taken for one.
pub(super) fn needs_chunks(payload: &Payload<'_>) -> bool {
    if payload.len() > CUT_ABOVE {
        return true;
    }
    let first = payload.pieces().iter().flat_map(|piece| piece.iter());
    payload.len() == HEAD_LEN && first.take(MAGIC.len()).eq(&MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_what_it_wrote() {
        let head = ChunkHead::fresh(5_000_000);
        assert_eq!(ChunkHead::parse(&head.to_bytes()), Some(head.clone()));
        assert_eq!(head.count(), 10);
        assert!(head.name("ns:", 3).starts_with(b"ns:/"));
        let tagged = head.with_tag(Some(12));
        assert!(tagged.name("ns:", 3).starts_with(b"ns:/{12}"));
        assert_eq!(
            ChunkHead::parse(&tagged.to_bytes()).map(|head| head.tag),
            Some(None)
        );
    }

    #[test]
    fn other_bytes_are_no_head() {
        let bytes = ChunkHead::fresh(5_000_000).to_bytes();
        for at in 0..HEAD_LEN {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(ChunkHead::parse(&changed), None, "byte {at}");
            assert_eq!(ChunkHead::parse(&bytes[..at]), None);
        }
        assert_eq!(ChunkHead::parse(b""), None);
    }

    #[test]
    fn a_value_that_looks_like_a_head_is_cut() {
        let head = ChunkHead::fresh(9).to_bytes();
        let (front, back) = head.split_at(3);
        assert!(needs_chunks(&Payload::new(&[front, back])));
        assert!(!needs_chunks(&Payload::from_bytes(&head[..55])));
        assert!(!needs_chunks(&Payload::new(&[])));
        assert!(!needs_chunks(&Payload::from_bytes(&vec![0; CUT_ABOVE])));
        assert!(needs_chunks(&Payload::from_bytes(&vec![0; CUT_ABOVE + 1])));
    }
}
