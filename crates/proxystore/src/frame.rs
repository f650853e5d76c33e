//! The form of an object at rest and on the wire: one format, versioned, described byte by byte
//! in `docs/frame.md`.
//!
//! ```text
//! 0   magic "PXF1"      4  version u8    5  codec u8    6  flags u16
//! 8   total length u64  16 stream length u64
//! 24  number of buffers u32              28 checksum u32 of header, table and stream
//! 32  buffer lengths, u64 each
//!     the stream, then every buffer at the next multiple of 64
//! ```
//! All numbers are little-endian.

use crate::{Error, ErrorKind, Payload, Result};
use smallvec::SmallVec;
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

const CHECKSUM_AT: Range<usize> = 28..32;
static ZEROS: [u8; ALIGN] = [0; ALIGN];

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
    /// An n-dimensional array: its description in the stream, its elements in one buffer.
    Ndarray = 3,
    /// A plain tree of values as MessagePack, in the stream.
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
}

/// A frame to be written: pieces by reference.
///
/// ```
/// use proxystore::frame::{Codec, Frame, FrameBuilder};
///
/// let mut builder = FrameBuilder::new(Codec::Bytes);
/// builder.push_buffer(b"hello");
/// let head = builder.head();
/// let joined = builder.payload(&head).to_vec();
/// let frame = Frame::parse(&joined)?;
/// assert_eq!(frame.buffer(0), b"hello");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameBuilder<'a> {
    codec: Codec,
    stream: SmallVec<[&'a [u8]; 2]>,
    stream_len: usize,
    buffers: SmallVec<[&'a [u8]; 2]>,
}

/// The first bytes of a frame, made by [`FrameBuilder::head`].
pub type Head = SmallVec<[u8; 48]>;

impl<'a> FrameBuilder<'a> {
    /// A frame without stream and buffers.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            stream: SmallVec::new(),
            stream_len: 0,
            buffers: SmallVec::new(),
        }
    }

    /// Adds a piece to the stream.
    pub fn push_stream(&mut self, piece: &'a [u8]) {
        self.stream_len += piece.len();
        self.stream.push(piece);
    }

    /// Adds a buffer.
    pub fn push_buffer(&mut self, buffer: &'a [u8]) {
        self.buffers.push(buffer);
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn total_len(&self) -> usize {
        let start = HEADER_LEN + 8 * self.buffers.len() + self.stream_len;
        self.buffers.iter().fold(start, |end, buffer| {
            end.next_multiple_of(ALIGN) + buffer.len()
        })
    }

    /// Header and table of buffer lengths.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 buffers.
    #[must_use]
    pub fn head(&self) -> Head {
        let mut head = Head::new();
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&[VERSION, self.codec as u8, 0, 0]);
        head.extend_from_slice(&(self.total_len() as u64).to_le_bytes());
        head.extend_from_slice(&(self.stream_len as u64).to_le_bytes());
        let count = u32::try_from(self.buffers.len()).expect("fewer than 2^32 buffers");
        head.extend_from_slice(&count.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        for buffer in &self.buffers {
            head.extend_from_slice(&(buffer.len() as u64).to_le_bytes());
        }
        let sum = checksum(&head, self.stream.iter().copied());
        head[CHECKSUM_AT].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// Everything in order, with a head made by [`head`](Self::head) of this builder.
    #[must_use]
    pub fn payload<'b>(&self, head: &'b [u8]) -> Payload<'b>
    where
        'a: 'b,
    {
        let mut payload = Payload::from_bytes(head);
        for piece in &self.stream {
            payload.push(piece);
        }
        for buffer in &self.buffers {
            let padding = payload.len().next_multiple_of(ALIGN) - payload.len();
            payload.push(&ZEROS[..padding]);
            payload.push(buffer);
        }
        payload.framed()
    }
}

/// xxh3 of the head (its checksum taken as zero) and the stream, lower half.
fn checksum<'a>(head: &[u8], stream: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut state = Xxh3::new();
    state.update(&head[..CHECKSUM_AT.start]);
    state.update(&[0; 4]);
    state.update(&head[CHECKSUM_AT.end..]);
    for piece in stream {
        state.update(piece);
    }
    state.digest() as u32
}

/// A frame that was read, sound and whole.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    codec: Codec,
    stream: Range<usize>,
    buffers: Ranges,
}

type Ranges = SmallVec<[Range<usize>; 2]>;

impl<'a> Frame<'a> {
    /// Whether the bytes begin as a frame does.
    #[must_use]
    pub fn is_frame(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads head and stream, and checks every length and the checksum.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] for what is no frame, is cut off or was changed;
    /// [`ErrorKind::NewerFrame`] for a version that this software does not know.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let invalid = |why: String| Error::new(ErrorKind::InvalidFrame, why);
        if bytes.len() < HEADER_LEN || !Self::is_frame(bytes) {
            return Err(invalid(format!(
                "{} bytes that are no frame: the first four should be \"PXF1\", with at least {HEADER_LEN} in all",
                bytes.len()
            )));
        }
        if bytes[4] > VERSION {
            return Err(Error::new(
                ErrorKind::NewerFrame,
                format!(
                    "a frame of version {}, but this proxystore reads up to version {VERSION}: upgrade the reading side",
                    bytes[4]
                ),
            ));
        }
        let word = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        let half = |at: usize| (word(at - 4) >> 32) as u32;
        let total = word(8);
        if total != bytes.len() as u64 {
            return Err(invalid(format!(
                "a truncated or overlong frame: its header says {total} bytes, {} are there",
                bytes.len()
            )));
        }
        let count = half(24) as usize;
        let layout = || -> Option<(Range<usize>, Ranges)> {
            let stream_start = HEADER_LEN.checked_add(count.checked_mul(8)?)?;
            let stream_end = stream_start.checked_add(usize::try_from(word(16)).ok()?)?;
            if stream_end > bytes.len() {
                return None;
            }
            let mut end = stream_end;
            let mut buffers = Ranges::with_capacity(count);
            for i in 0..count {
                let start = end.checked_next_multiple_of(ALIGN)?;
                end = start.checked_add(usize::try_from(word(HEADER_LEN + 8 * i)).ok()?)?;
                buffers.push(start..end);
            }
            (end == bytes.len()).then_some((stream_start..stream_end, buffers))
        };
        let (stream, buffers) = layout()
            .ok_or_else(|| invalid("a corrupted frame: its lengths do not add up".to_owned()))?;
        let sum = checksum(
            &bytes[..stream.start],
            std::iter::once(&bytes[stream.clone()]),
        );
        if sum != half(CHECKSUM_AT.start) {
            return Err(invalid(
                "a corrupted frame: the checksum of its head is wrong".to_owned(),
            ));
        }
        let codec = Codec::from_byte(bytes[5])
            .ok_or_else(|| invalid(format!("a frame with the unknown codec {}", bytes[5])))?;
        Ok(Self {
            bytes,
            codec,
            stream,
            buffers,
        })
    }

    /// How stream and buffers are to be read.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &'a [u8] {
        &self.bytes[self.stream.clone()]
    }

    /// Where the buffers lie in the frame.
    #[must_use]
    pub fn buffer_ranges(&self) -> &[Range<usize>] {
        &self.buffers
    }

    /// One buffer.
    ///
    /// # Panics
    /// If there is no such buffer.
    #[must_use]
    pub fn buffer(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.buffers[index].clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut builder = FrameBuilder::new(Codec::Pickle);
        builder.push_stream(b"stream");
        builder.push_buffer(&[7; 100]);
        builder.push_buffer(b"");
        let head = builder.head();
        let payload = builder.payload(&head);
        assert_eq!(payload.len(), builder.total_len());
        payload.to_vec()
    }

    #[test]
    fn reads_what_it_wrote() {
        let bytes = sample();
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.codec(), Codec::Pickle);
        assert_eq!(frame.stream(), b"stream");
        assert_eq!(frame.buffer(0), &[7; 100]);
        assert_eq!(frame.buffer(1), b"");
        assert!(
            frame
                .buffer_ranges()
                .iter()
                .all(|range| range.start % ALIGN == 0)
        );
    }

    #[test]
    fn every_truncation_is_seen() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert_eq!(
                Frame::parse(&bytes[..len]).unwrap_err().kind(),
                ErrorKind::InvalidFrame
            );
        }
    }

    #[test]
    fn every_changed_byte_of_the_head_is_seen() {
        let mut bytes = sample();
        for at in 0..54 {
            bytes[at] ^= 0x41;
            assert!(Frame::parse(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 0x41;
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = sample();
        bytes[4] = VERSION + 1;
        assert_eq!(
            Frame::parse(&bytes).unwrap_err().kind(),
            ErrorKind::NewerFrame
        );
    }
}
