//! Values of Rust types as frames, and frames as values.

use crate::frame::{Codec, Frame, FrameBuilder};
use crate::{Access, Blob, Error, ErrorKind, Payload, Result};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A type whose values can be put into a store.
///
/// Bytes, text, numbers, arrays and record batches implement it themselves; a type of your own gets
/// it from serde with [`as_message_pack!`](crate::as_message_pack), or is put as
/// [`MessagePack(&value)`](crate::codec::tree::MessagePack).
///
/// ```
/// use proxystore::codec::{Encode, Encoded};
/// use proxystore::frame::Codec;
///
/// struct Celsius(String);
///
/// impl Encode for Celsius {
///     fn encode(&self) -> proxystore::Result<Encoded<'_>> {
///         Ok(Encoded::new(Codec::Str).buffer(self.0.as_bytes()))
///     }
/// }
/// ```
pub trait Encode {
    /// The value as the parts of a frame, by reference where they lie in the value as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if this value has no such form.
    fn encode(&self) -> Result<Encoded<'_>>;
}

/// A type whose values can be made from what a store holds.
pub trait Decode: Sized {
    /// How the bytes are used: whether they may be read where they lie, or are to be owned.
    const ACCESS: Access = Access::View;

    /// Makes a value.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the object was written by a codec that this type does not read;
    /// [`ErrorKind::InvalidFrame`] if it is damaged.
    fn decode(object: &Object) -> Result<Self>;
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self) -> Result<Encoded<'_>> {
        (**self).encode()
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self) -> Result<Encoded<'_>> {
        (**self).encode()
    }
}

impl<T: Encode + ?Sized> Encode for std::sync::Arc<T> {
    fn encode(&self) -> Result<Encoded<'_>> {
        (**self).encode()
    }
}

/// A value as the parts of a frame that is to be written.
#[derive(Clone)]
pub struct Encoded<'a> {
    codec: Codec,
    stream: Stream<'a>,
    buffers: SmallVec<[Buffer<'a>; 1]>,
}

#[derive(Clone)]
enum Buffer<'a> {
    Whole(Cow<'a, [u8]>),
    Pieces(Vec<Blob>),
}

#[derive(Clone)]
enum Stream<'a> {
    Short(SmallVec<[u8; 64]>),
    Long(Cow<'a, [u8]>),
}

impl<'a> Encoded<'a> {
    /// A frame with an empty stream and no buffers.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            stream: Stream::Short(SmallVec::new()),
            buffers: SmallVec::new(),
        }
    }

    /// Sets the stream.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<Cow<'a, [u8]>>) -> Self {
        self.stream = Stream::Long(stream.into());
        self
    }

    /// Sets the stream to a copy of a few bytes.
    #[must_use]
    pub fn short_stream(mut self, stream: &[u8]) -> Self {
        self.stream = Stream::Short(SmallVec::from_slice(stream));
        self
    }

    /// Adds a buffer.
    #[must_use]
    pub fn buffer(mut self, buffer: impl Into<Cow<'a, [u8]>>) -> Self {
        self.buffers.push(Buffer::Whole(buffer.into()));
        self
    }

    /// Adds a buffer that is made of pieces, one right after the other.
    #[must_use]
    pub fn buffer_of_pieces(mut self, pieces: impl IntoIterator<Item = Blob>) -> Self {
        let pieces = pieces.into_iter().collect();
        self.buffers.push(Buffer::Pieces(pieces));
        self
    }

    /// The frame, by reference.
    #[must_use]
    pub fn builder(&self) -> FrameBuilder<'_> {
        let mut builder = FrameBuilder::new(self.codec);
        let stream: &[u8] = match &self.stream {
            Stream::Short(bytes) => bytes,
            Stream::Long(bytes) => bytes,
        };
        if !stream.is_empty() {
            builder.push_stream(stream);
        }
        for buffer in &self.buffers {
            match buffer {
                Buffer::Whole(bytes) => builder.push_buffer(bytes),
                Buffer::Pieces(pieces) => {
                    builder.push_buffer_pieces(pieces.iter().map(|piece| &**piece));
                }
            }
        }
        builder
    }

    /// Calls `use_it` with what a connector is given.
    pub fn with_payload<R>(&self, use_it: impl FnOnce(&Payload<'_>) -> R) -> R {
        let builder = self.builder();
        let head = builder.head();
        use_it(&builder.payload(&head))
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.builder().total_len();
        write!(f, "Encoded({:?}, {len} bytes)", self.codec)
    }
}

/// An object as a store holds it: a sound frame, and the memory that it lies in.
///
/// ```
/// use proxystore::codec::{Encode, Object};
/// use proxystore::frame::Codec;
///
/// let bytes = "hello".encode()?.with_payload(|payload| payload.to_vec());
/// let object = Object::parse(bytes.into())?;
/// assert_eq!(object.codec(), Codec::Str);
/// assert_eq!(object.buffer(0)?, b"hello");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Object {
    blob: Blob,
    codec: Codec,
    stream: Range<usize>,
    buffers: SmallVec<[Range<usize>; 2]>,
}

impl Object {
    /// Reads a frame and checks that it is whole and sound.
    ///
    /// # Errors
    /// As [`Frame::parse`].
    pub fn parse(blob: Blob) -> Result<Self> {
        let frame = Frame::parse(&blob)?;
        let codec = frame.codec();
        let stream_start = frame.stream().as_ptr().addr() - blob.as_ptr().addr();
        let stream = stream_start..stream_start + frame.stream().len();
        let buffers = frame.buffer_ranges().iter().cloned().collect();
        Ok(Self {
            blob,
            codec,
            stream,
            buffers,
        })
    }

    /// What wrote it.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.blob.len()
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        &self.blob[self.stream.clone()]
    }

    /// How many buffers there are.
    #[must_use]
    pub fn buffer_count(&self) -> usize {
        self.buffers.len()
    }

    /// One buffer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if there is no such buffer.
    pub fn buffer(&self, index: usize) -> Result<&[u8]> {
        Ok(&self.blob[self.range(index)?])
    }

    /// One buffer with a share in its memory: nothing is copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if there is no such buffer.
    pub fn buffer_blob(&self, index: usize) -> Result<Blob> {
        Ok(self.blob.slice(self.range(index)?))
    }

    /// The whole frame.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Checks that a given codec wrote the object.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`], which says what wrote it and what `type_name` reads.
    pub fn expect(&self, codec: Codec, type_name: &str) -> Result<()> {
        if self.codec == codec {
            return Ok(());
        }
        Err(self.mismatch(type_name, &format!("{codec:?}")))
    }

    /// The error for a type that does not read this object's codec.
    #[must_use]
    pub fn mismatch(&self, type_name: &str, reads: &str) -> Error {
        let codec = self.codec;
        let advice = match codec {
            Codec::Pickle => {
                "only Python reads it: put bytes, str, an array, an Arrow table or a plain tree of \
                 values there to share it"
            }
            Codec::Foreign => {
                "the serializer that its program gave the store wrote it: read it as `Blob` and \
                 decode it with that format"
            }
            Codec::Bytes => "read it as `Vec<u8>`, `Blob` or a view of `[u8]`",
            Codec::Str => "read it as `String` or a view of `str`",
            Codec::Ndarray => {
                "read it as `AnyArray`, as an `ndarray::Array` or as a view of its elements"
            }
            Codec::MessagePack => "read it as `MessagePack<T>` or `Value`",
            Codec::Arrow => {
                "read it as `RecordBatch` or `arrow::Table` (feature `arrow`), or as `Object`, \
                 whose buffer 0 is an Arrow IPC stream"
            }
        };
        Error::new(
            ErrorKind::WrongType,
            format!(
                "the object was written by the codec {codec:?}, and `{type_name}` reads {reads}; \
                 {advice}"
            ),
        )
    }

    fn range(&self, index: usize) -> Result<Range<usize>> {
        self.buffers.get(index).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidFrame,
                format!("a corrupted frame: it refers to a buffer {index} that it does not have"),
            )
        })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({:?}, {} bytes)", self.codec, self.byte_len())
    }
}

/// The object itself, whatever it is.
impl Decode for Object {
    const ACCESS: Access = Access::Auto;

    fn decode(object: &Object) -> Result<Self> {
        Ok(object.clone())
    }
}
