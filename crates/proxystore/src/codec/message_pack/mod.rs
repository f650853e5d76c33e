//! MessagePack, and the extension types that make it hold what plain trees of values hold.
//!
//! | type | name | content |
//! |---|---|---|
//! | 1 | integer | two's complement, least byte first, for integers beyond 64 bits |
//! | 2 | tuple | one array |
//! | 3 | set | one array |
//! | 4 | frozen set | one array |
//! | 5 | complex number | two floats of 8 bytes, least byte first: real, imaginary |
//! | 6 | mutable bytes | the bytes |
//! | 7 | leaf in a buffer | [`BufferLeaf`] |
//! | 8 | array | u32 length of a [description](super::ndarray), the description, the elements |
//!
//! Floats are always written with 8 bytes. Map keys may be of any type.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Reader, Token};
pub use write::{OpenExtension, Writer};

use crate::{Error, ErrorKind, Result};

/// Containers within containers, at most. What is nested deeper is nobody's plain tree.
pub const MAX_DEPTH: usize = 256;

/// The registered extension types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
#[non_exhaustive]
pub enum Extension {
    /// An integer beyond 64 bits.
    Integer = 1,
    /// An immutable sequence.
    Tuple = 2,
    /// A set.
    Set = 3,
    /// An immutable set.
    FrozenSet = 4,
    /// A complex number.
    Complex = 5,
    /// A mutable sequence of bytes.
    MutableBytes = 6,
    /// A leaf that lies in one of the frame's buffers.
    Buffer = 7,
    /// A small n-dimensional array.
    Array = 8,
}

impl Extension {
    /// Every extension type.
    pub const ALL: [Self; 8] = [
        Self::Integer,
        Self::Tuple,
        Self::Set,
        Self::FrozenSet,
        Self::Complex,
        Self::MutableBytes,
        Self::Buffer,
        Self::Array,
    ];

    /// The extension of a type number.
    #[must_use]
    pub fn from_number(number: i8) -> Option<Self> {
        Self::ALL
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
            .copied()
    }
}

/// What the content of an extension of type [`Extension::Buffer`] says: one letter, the number of
/// the buffer as u32, and for arrays the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "another letter is another format")]
pub enum BufferLeaf<'a> {
    /// `B`: bytes.
    Bytes,
    /// `b`: mutable bytes.
    MutableBytes,
    /// `s`: UTF-8 text.
    Str,
    /// `n`: an n-dimensional array of this [description](super::ndarray).
    Ndarray(&'a [u8]),
}

impl<'a> BufferLeaf<'a> {
    /// Reads the content of an extension: what the leaf is, and in which buffer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`].
    pub fn parse(content: &'a [u8]) -> Result<(Self, usize)> {
        let parts = content
            .split_first()
            .and_then(|(letter, rest)| Some((letter, rest.split_first_chunk()?)));
        let Some((letter, (index, rest))) = parts else {
            return Err(malformed());
        };
        let leaf = match (letter, rest) {
            (b'B', []) => Self::Bytes,
            (b'b', []) => Self::MutableBytes,
            (b's', []) => Self::Str,
            (b'n', description) => Self::Ndarray(description),
            _ => return Err(malformed()),
        };
        Ok((leaf, u32::from_le_bytes(*index) as usize))
    }

    /// Writes the leaf of a buffer.
    ///
    /// # Panics
    /// If the number of the buffer is beyond 2^32 - 1.
    pub fn write(self, writer: &mut Writer, index: usize) {
        let (letter, description): (u8, &[u8]) = match self {
            Self::Bytes => (b'B', &[]),
            Self::MutableBytes => (b'b', &[]),
            Self::Str => (b's', &[]),
            Self::Ndarray(description) => (b'n', description),
        };
        let index = u32::try_from(index).expect("fewer than 2^32 buffers");
        writer.extension_header(Extension::Buffer, 5 + description.len());
        writer.0.push(letter);
        writer.0.extend_from_slice(&index.to_le_bytes());
        writer.0.extend_from_slice(description);
    }
}

/// What is wrong with a frame whose tree cannot be read.
#[must_use]
pub fn malformed() -> Error {
    Error::new(
        ErrorKind::InvalidFrame,
        "a corrupted frame: its MessagePack cannot be read",
    )
}
