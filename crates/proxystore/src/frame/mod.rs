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
use xxhash_rust::xxh3::Xxh3;

/// First bytes of every frame.
pub const MAGIC: [u8; 4] = *b"PXF1";
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

/// xxh3 of the head (its checksum taken as zero) and the stream, lower half.
fn head_checksum<'a>(head: &[u8], stream: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut state = Xxh3::new();
    state.update(&head[..CHECKSUM_AT.start]);
    state.update(&[0; 4]);
    state.update(&head[CHECKSUM_AT.end..]);
    for piece in stream {
        state.update(piece);
    }
    state.digest() as u32
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
