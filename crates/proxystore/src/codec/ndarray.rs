//! The description of an n-dimensional array, which is the stream of a frame of
//! [`Codec::Ndarray`](crate::frame::Codec::Ndarray):
//!
//! ```text
//! 0  kind u8    1  byte order u8    2  order u8    3  dimensions u8    4  element size u32
//! 8  shape, u64 each
//!    to the end: for 'M' and 'm', the unit of time in ASCII, e.g. "ns" or "25s"
//! ```

use crate::{Error, ErrorKind, Result};
use smallvec::SmallVec;

/// More dimensions than any array library has.
pub const MAX_DIMENSIONS: usize = 64;

/// What the elements are; the letters of numpy's array interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool = b'b',
    /// Signed, of 1, 2, 4 or 8 bytes.
    Int = b'i',
    /// Unsigned, of 1, 2, 4 or 8 bytes.
    Uint = b'u',
    /// IEEE 754, of 2, 4 or 8 bytes.
    Float = b'f',
    /// Two floats, real part first, of 8 or 16 bytes together.
    Complex = b'c',
    /// A point in time: a signed count of units since 1970, of 8 bytes; the least is "none".
    Datetime = b'M',
    /// A span of time: a signed count of units, of 8 bytes; the least is "none".
    Timedelta = b'm',
    /// Bytes, filled up with zeros to a fixed size.
    Bytes = b'S',
    /// UTF-32 text, filled up with zeros to a fixed size.
    Text = b'U',
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Float,
        Self::Complex,
        Self::Datetime,
        Self::Timedelta,
        Self::Bytes,
        Self::Text,
    ];

    /// The kind of a letter.
    #[must_use]
    pub fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == letter)
    }

    /// Whether there are elements of this kind of `size` bytes.
    #[must_use]
    pub fn takes_size(self, size: u32) -> bool {
        match self {
            Self::Bool => size == 1,
            Self::Int | Self::Uint => matches!(size, 1 | 2 | 4 | 8),
            Self::Float => matches!(size, 2 | 4 | 8),
            Self::Complex => matches!(size, 8 | 16),
            Self::Datetime | Self::Timedelta => size == 8,
            Self::Bytes => size > 0,
            Self::Text => size > 0 && size.is_multiple_of(4),
        }
    }

    fn has_unit(self) -> bool {
        matches!(self, Self::Datetime | Self::Timedelta)
    }
}

/// An array without its elements.
///
/// ```
/// use proxystore::codec::ndarray::{Description, Kind};
///
/// let array = Description::new(Kind::Float, 8, &[1000, 3]);
/// assert_eq!(array.byte_len(), Some(24_000));
/// assert_eq!(Description::parse(&array.to_bytes())?, array);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Description {
    /// What the elements are.
    pub kind: Kind,
    /// Whether each element's most significant byte comes first.
    pub big_endian: bool,
    /// Whether the first index runs fastest (Fortran's order) and not the last (C's).
    pub fortran_order: bool,
    /// Bytes of one element.
    pub item_size: u32,
    /// Elements along each axis; none for a single element without axes.
    pub shape: SmallVec<[u64; 4]>,
    /// The unit of time, e.g. `"ns"` or `"25s"`; empty for other kinds and for no unit.
    pub unit: SmallVec<[u8; 8]>,
}

/// A description as it stands in a frame.
pub type DescriptionBytes = SmallVec<[u8; 64]>;

impl Description {
    /// A little-endian array in C's order.
    #[must_use]
    pub fn new(kind: Kind, item_size: u32, shape: &[u64]) -> Self {
        Self {
            kind,
            big_endian: false,
            fortran_order: false,
            item_size,
            shape: SmallVec::from_slice(shape),
            unit: SmallVec::new(),
        }
    }

    /// Bytes of all elements, or `None` if that is no length.
    #[must_use]
    pub fn byte_len(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let bytes = self
            .shape
            .iter()
            .try_fold(u64::from(self.item_size), |bytes, len| {
                bytes.checked_mul(*len)
            })?;
        usize::try_from(bytes)
            .ok()
            .filter(|bytes| isize::try_from(*bytes).is_ok())
    }

    /// The description as it stands in a frame.
    #[must_use]
    pub fn to_bytes(&self) -> DescriptionBytes {
        let mut bytes = DescriptionBytes::new();
        let byte_order = match (self.item_size, self.big_endian) {
            (1, _) => b'|',
            _ if self.kind == Kind::Bytes => b'|',
            (_, true) => b'>',
            (_, false) => b'<',
        };
        let order = if self.fortran_order { b'F' } else { b'C' };
        bytes.extend_from_slice(&[self.kind as u8, byte_order, order, self.shape.len() as u8]);
        bytes.extend_from_slice(&self.item_size.to_le_bytes());
        for len in &self.shape {
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(&self.unit);
        bytes
    }

    /// Reads a description and checks that such an array can be.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidFrame,
                "a corrupted frame: the description of its array makes no sense",
            )
        })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&[kind, byte_order, order, dimensions], rest) = bytes.split_first_chunk()?;
        let (item_size, rest) = rest.split_first_chunk()?;
        if usize::from(dimensions) > MAX_DIMENSIONS {
            return None;
        }
        let (shape, unit) = rest.split_at_checked(8 * usize::from(dimensions))?;
        let array = Self {
            kind: Kind::from_letter(kind)?,
            big_endian: match byte_order {
                b'<' | b'|' => false,
                b'>' => true,
                _ => return None,
            },
            fortran_order: match order {
                b'C' => false,
                b'F' => true,
                _ => return None,
            },
            item_size: u32::from_le_bytes(*item_size),
            shape: shape
                .as_chunks()
                .0
                .iter()
                .map(|len| u64::from_le_bytes(*len))
                .collect(),
            unit: SmallVec::from_slice(unit),
        };
        let sound = array.kind.takes_size(array.item_size)
            && (array.kind.has_unit() || array.unit.is_empty())
            && array.unit.len() <= 32
            && array.unit.iter().all(u8::is_ascii_alphanumeric)
            && array.byte_len().is_some();
        sound.then_some(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let good = Description::new(Kind::Int, 4, &[2, 3]).to_bytes();
        assert!(Description::parse(&good).is_ok());
        for len in 0..good.len() {
            assert!(Description::parse(&good[..len]).is_err(), "{len} bytes");
        }
        for (at, byte) in [(0, b'?'), (1, b'x'), (2, b'x'), (3, 65), (4, 3)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Description::parse(&bad).is_err(), "byte {at}");
        }
        let huge = Description::new(Kind::Int, 8, &[u64::MAX, 2]).to_bytes();
        assert!(Description::parse(&huge).is_err());
    }

    #[test]
    fn an_axis_of_no_length_makes_an_empty_array() {
        let array = Description::new(Kind::Float, 8, &[u64::MAX, u64::MAX, 0]);
        assert_eq!(array.byte_len(), Some(0));
        assert_eq!(Description::new(Kind::Float, 8, &[]).byte_len(), Some(8));
    }

    #[test]
    fn units_and_orders_survive() {
        let mut array = Description::new(Kind::Datetime, 8, &[5]);
        array.unit = SmallVec::from_slice(b"25s");
        array.big_endian = true;
        array.fortran_order = true;
        assert_eq!(Description::parse(&array.to_bytes()).unwrap(), array);
    }
}
