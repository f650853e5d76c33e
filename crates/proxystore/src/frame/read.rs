//! Frames that were read.

use super::{
    ALIGN, CHECKSUM_AT, Codec, ENVELOPE_MAGIC, FLAG_BUFFER_CHECKSUM, HEADER_LEN, KNOWN_FLAGS,
    MAGIC, VERSION, buffer_checksum, head_checksum,
};
use crate::{Error, ErrorKind, Result};
use smallvec::SmallVec;
use std::ops::Range;

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

    /// Reads head and stream, and checks every length and every checksum that is there.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] for what is no frame, is cut off or was changed;
    /// [`ErrorKind::NewerFrame`] for a version or a flag that this software does not know.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() < HEADER_LEN || !Self::is_frame(bytes) {
            if bytes.starts_with(&ENVELOPE_MAGIC) {
                return Err(in_envelope());
            }
            return Err(invalid(format!(
                "{} bytes that are no frame: the first four should be \"PXF1\", with at least {HEADER_LEN} in all",
                bytes.len()
            )));
        }
        if bytes[4] > VERSION {
            return Err(newer(format!(
                "a frame of version {}, but this proxystore reads up to version {VERSION}: upgrade the reading side",
                bytes[4]
            )));
        }
        let total = word(bytes, 8);
        if total != bytes.len() as u64 {
            return Err(invalid(format!(
                "a truncated or overlong frame: its header says {total} bytes, {} are there",
                bytes.len()
            )));
        }
        let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
        let count = (word(bytes, 24) & u64::from(u32::MAX)) as usize;
        let (stream, buffers) = layout(bytes, flags, count)
            .ok_or_else(|| invalid("a corrupted frame: its lengths do not add up"))?;
        let sum = head_checksum(
            &bytes[..stream.start],
            std::iter::once(&bytes[stream.clone()]),
        );
        if u64::from(sum) != word(bytes, CHECKSUM_AT.start - 4) >> 32 {
            return Err(invalid(
                "a corrupted frame: the checksum of its head is wrong",
            ));
        }
        if flags & !KNOWN_FLAGS != 0 {
            return Err(newer(format!(
                "a frame with the flags {flags:#x}, some of which this proxystore does not know: upgrade the reading side"
            )));
        }
        if flags & FLAG_BUFFER_CHECKSUM != 0 {
            let sum = buffer_checksum(buffers.iter().map(|range| &bytes[range.clone()]));
            if sum != word(bytes, HEADER_LEN + 8 * count) {
                return Err(invalid(
                    "a corrupted frame: the checksum of its buffers is wrong",
                ));
            }
        }
        let codec = Codec::from_byte(bytes[5]).ok_or_else(|| {
            newer(format!(
                "a frame with the codec {}, which this proxystore does not know: upgrade the reading side",
                bytes[5]
            ))
        })?;
        if let Some(expected) = codec.buffer_count()
            && expected != count
        {
            return Err(invalid(format!(
                "a corrupted frame: {count} buffers where the codec {codec:?} has {expected}"
            )));
        }
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

/// Where stream and buffers lie, or `None` if that is not within `bytes` exactly.
fn layout(bytes: &[u8], flags: u16, count: usize) -> Option<(Range<usize>, Ranges)> {
    let words = count.checked_add(usize::from(flags & FLAG_BUFFER_CHECKSUM != 0))?;
    let stream_start = HEADER_LEN.checked_add(words.checked_mul(8)?)?;
    let stream_end = stream_start.checked_add(usize::try_from(word(bytes, 16)).ok()?)?;
    if stream_end > bytes.len() {
        return None;
    }
    let mut end = stream_end;
    let mut buffers = Ranges::with_capacity(count);
    for i in 0..count {
        let start = end.checked_next_multiple_of(ALIGN)?;
        let len = usize::try_from(word(bytes, HEADER_LEN + 8 * i)).ok()?;
        end = start.checked_add(len)?;
        if end > bytes.len() {
            return None;
        }
        buffers.push(start..end);
    }
    (end == bytes.len()).then_some((stream_start..stream_end, buffers))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// The error for an object that was compressed, signed or encrypted.
fn in_envelope() -> Error {
    invalid(
        "an object in an envelope: open its store with the `compression`, `signing` or \
         `encryption` that it was put with",
    )
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidFrame, why.into())
}

fn newer(why: String) -> Error {
    Error::new(ErrorKind::NewerFrame, why)
}
