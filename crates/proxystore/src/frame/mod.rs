//! The form of an object at rest and on the wire: one format, versioned, described byte by byte
//! in `docs/frame.md`.
//!
//! ```text
//! 0   magic "PXF1"      4  version u8    5  codec u8    6  flags u16
//! 8   total length u64  16 stream length u64
//! 24  number of buffers u32              28 checksum u32 of header, table and stream
//! 32  buffer lengths, u64 each; with flag 1, a checksum u64 of the buffers
//!     the stream, then every buffer at the next multiple of 64
//! ```
//! All numbers are little-endian.

mod read;
mod write;

pub use read::Frame;
pub use write::{FrameBuilder, Head};

use std::ops::Range;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// First bytes of every frame.
pub const MAGIC: [u8; 4] = *b"PXF1";
/// First bytes of an object in an envelope, which its store has to open first.
pub const ENVELOPE_MAGIC: [u8; 4] = *b"PXE1";
/// The version this software writes.
pub const VERSION: u8 = 1;
/// Bytes before the table of buffer lengths.
pub const HEADER_LEN: usize = 32;
/// Buffers begin at multiples of this.
pub const ALIGN: usize = crate::blob::ALIGN;
/// The flag that says that the table ends with a checksum of the buffers.
pub const FLAG_BUFFER_CHECKSUM: u16 = 1;

const KNOWN_FLAGS: u16 = FLAG_BUFFER_CHECKSUM;
const CHECKSUM_AT: Range<usize> = 28..32;

/// What the stream and the buffers of a frame mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// Python's pickle, protocol 5; the buffers are its out-of-band buffers.
    Pickle = 0,
    /// Raw bytes: one buffer. A stream of one byte 1 marks a mutable sequence (`bytearray`).
    Bytes = 1,
    /// UTF-8 text: one buffer.
    Str = 2,
    /// An n-dimensional array: its [description](crate::codec::ndarray::Description) in the
    /// stream, its elements in one buffer.
    Ndarray = 3,
    /// A plain tree of values as MessagePack, in the stream; large leaves may lie in buffers.
    MessagePack = 4,
    /// An Arrow table or record batch as an IPC stream, in one buffer.
    Arrow = 5,
    /// Bytes that a user's own serializer made: one buffer.
    Foreign = 6,
}

impl Codec {
    /// Every codec of this version.
    pub const ALL: [Self; 7] = [
        Self::Pickle,
        Self::Bytes,
        Self::Str,
        Self::Ndarray,
        Self::MessagePack,
        Self::Arrow,
        Self::Foreign,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| *codec as u8 == byte)
    }

    /// How many buffers a frame of this codec has, where that is fixed.
    #[must_use]
    pub fn buffer_count(self) -> Option<usize> {
        match self {
            Self::Pickle | Self::MessagePack => None,
            Self::Bytes | Self::Str | Self::Ndarray | Self::Arrow | Self::Foreign => Some(1),
        }
    }
}

/// Up to here xxh3 hashes bytes that lie together at once, without its state of half a kilobyte.
const HASHED_AT_ONCE: usize = 240;

/// xxh3 of the head (its checksum taken as zero) and the stream, lower half.
fn head_checksum<'a>(head: &'a [u8], stream: impl Iterator<Item = &'a [u8]> + Clone) -> u32 {
    let pieces = [
        &head[..CHECKSUM_AT.start],
        &[0; 4],
        &head[CHECKSUM_AT.end..],
    ];
    let pieces = pieces.into_iter().chain(stream);
    let mut short = [0; HASHED_AT_ONCE];
    let mut len = 0;
    for piece in pieces.clone() {
        let Some(place) = short.get_mut(len..len + piece.len()) else {
            let mut state = Xxh3::new();
            pieces.for_each(|piece| state.update(piece));
            return state.digest() as u32;
        };
        place.copy_from_slice(piece);
        len += piece.len();
    }
    xxh3_64(&short[..len]) as u32
}

/// xxh3 of all buffers, one after the other, without the padding between them.
fn buffer_checksum<'a>(buffers: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut state = Xxh3::new();
    for piece in buffers {
        state.update(piece);
    }
    state.digest()
}

#[cfg(test)]
mod tests;
