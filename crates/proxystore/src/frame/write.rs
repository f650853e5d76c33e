//! Frames to be written: pieces by reference.

use super::{
    ALIGN, CHECKSUM_AT, Codec, FLAG_BUFFER_CHECKSUM, HEADER_LEN, MAGIC, VERSION, buffer_checksum,
    head_checksum,
};
use crate::Payload;
use smallvec::SmallVec;

static ZEROS: [u8; ALIGN] = [0; ALIGN];

/// The first bytes of a frame, made by [`FrameBuilder::head`].
pub type Head = SmallVec<[u8; 48]>;

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
    pieces: SmallVec<[&'a [u8]; 2]>,
    buffers: SmallVec<[Buffer; 2]>,
    checksum_buffers: bool,
}

/// One buffer: the next `pieces` of the builder's pieces.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    pieces: usize,
    len: usize,
}

impl<'a> FrameBuilder<'a> {
    /// A frame without stream and buffers.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            stream: SmallVec::new(),
            stream_len: 0,
            pieces: SmallVec::new(),
            buffers: SmallVec::new(),
            checksum_buffers: false,
        }
    }

    /// Whether the frame carries a checksum of its buffers as well. Off at first: computing it
    /// reads every byte once more, on both sides.
    #[must_use]
    pub fn checksum_buffers(mut self, on: bool) -> Self {
        self.checksum_buffers = on;
        self
    }

    /// Adds a piece to the stream.
    pub fn push_stream(&mut self, piece: &'a [u8]) {
        self.stream_len += piece.len();
        self.stream.push(piece);
    }

    /// Adds a buffer of one piece.
    pub fn push_buffer(&mut self, buffer: &'a [u8]) {
        self.pieces.push(buffer);
        self.buffers.push(Buffer {
            pieces: 1,
            len: buffer.len(),
        });
    }

    /// Adds a buffer of several pieces, which will lie one right after the other.
    pub fn push_buffer_pieces(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        let mut buffer = Buffer { pieces: 0, len: 0 };
        for piece in pieces {
            self.pieces.push(piece);
            buffer.pieces += 1;
            buffer.len += piece.len();
        }
        self.buffers.push(buffer);
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn total_len(&self) -> usize {
        let start = HEADER_LEN
            + 8 * (self.buffers.len() + usize::from(self.checksum_buffers))
            + self.stream_len;
        self.buffers.iter().fold(start, |end, buffer| {
            end.next_multiple_of(ALIGN) + buffer.len
        })
    }

    /// Header and table.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 buffers.
    #[must_use]
    pub fn head(&self) -> Head {
        let flags = if self.checksum_buffers {
            FLAG_BUFFER_CHECKSUM
        } else {
            0
        };
        let mut head = Head::new();
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&[VERSION, self.codec as u8]);
        head.extend_from_slice(&flags.to_le_bytes());
        head.extend_from_slice(&(self.total_len() as u64).to_le_bytes());
        head.extend_from_slice(&(self.stream_len as u64).to_le_bytes());
        let count = u32::try_from(self.buffers.len()).expect("fewer than 2^32 buffers");
        head.extend_from_slice(&count.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        for buffer in &self.buffers {
            head.extend_from_slice(&(buffer.len as u64).to_le_bytes());
        }
        if self.checksum_buffers {
            let sum = buffer_checksum(self.pieces.iter().copied());
            head.extend_from_slice(&sum.to_le_bytes());
        }
        let sum = head_checksum(&head, self.stream.iter().copied());
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
        let mut pieces = self.pieces.iter();
        for buffer in &self.buffers {
            let padding = payload.len().next_multiple_of(ALIGN) - payload.len();
            payload.push(&ZEROS[..padding]);
            for piece in pieces.by_ref().take(buffer.pieces) {
                payload.push(piece);
            }
        }
        payload.framed()
    }
}
