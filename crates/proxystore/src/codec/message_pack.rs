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

/// Writes MessagePack, each value in its shortest form.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub Vec<u8>);

/// Where an extension of a length yet unknown began.
#[derive(Debug)]
#[must_use]
pub struct OpenExtension {
    content: usize,
    short: bool,
}

impl Writer {
    /// No value.
    #[inline]
    pub fn nil(&mut self) {
        self.0.push(0xc0);
    }

    /// True or false.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.0.push(0xc2 | u8::from(value));
    }

    /// An integer.
    #[inline]
    pub fn signed(&mut self, value: i64) {
        if value >= 0 {
            return self.unsigned(value as u64);
        }
        if value >= -32 {
            self.0.push(value as u8);
        } else if value >= i64::from(i8::MIN) {
            self.0.extend_from_slice(&[0xd0, value as u8]);
        } else if value >= i64::from(i16::MIN) {
            self.0.push(0xd1);
            self.0.extend_from_slice(&(value as i16).to_be_bytes());
        } else if value >= i64::from(i32::MIN) {
            self.0.push(0xd2);
            self.0.extend_from_slice(&(value as i32).to_be_bytes());
        } else {
            self.0.push(0xd3);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// An integer that is not negative.
    #[inline]
    pub fn unsigned(&mut self, value: u64) {
        if value < 128 {
            self.0.push(value as u8);
        } else if value <= 0xff {
            self.0.extend_from_slice(&[0xcc, value as u8]);
        } else if value <= 0xffff {
            self.0.push(0xcd);
            self.0.extend_from_slice(&(value as u16).to_be_bytes());
        } else if value <= 0xffff_ffff {
            self.0.push(0xce);
            self.0.extend_from_slice(&(value as u32).to_be_bytes());
        } else {
            self.0.push(0xcf);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// A float of 8 bytes.
    #[inline]
    pub fn float(&mut self, value: f64) {
        self.0.push(0xcb);
        self.0.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    /// UTF-8 text.
    #[inline]
    pub fn text(&mut self, utf8: &[u8]) {
        self.text_header(utf8.len());
        self.0.extend_from_slice(utf8);
    }

    /// Bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes_header(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The start of a text of `len` bytes.
    ///
    /// # Panics
    /// If `len` is beyond 2^32 - 1, as for every header.
    #[inline]
    pub fn text_header(&mut self, len: usize) {
        match len {
            0..=31 => self.0.push(0xa0 | len as u8),
            32..=0xff => self.0.extend_from_slice(&[0xd9, len as u8]),
            _ => self.long_header(0xda, len),
        }
    }

    /// The start of `len` bytes.
    #[inline]
    pub fn bytes_header(&mut self, len: usize) {
        match len {
            0..=0xff => self.0.extend_from_slice(&[0xc4, len as u8]),
            _ => self.long_header(0xc5, len),
        }
    }

    /// The start of an array of `len` elements.
    #[inline]
    pub fn array_header(&mut self, len: usize) {
        match len {
            0..=15 => self.0.push(0x90 | len as u8),
            _ => self.long_header(0xdc, len),
        }
    }

    /// The start of a map of `len` pairs.
    #[inline]
    pub fn map_header(&mut self, len: usize) {
        match len {
            0..=15 => self.0.push(0x80 | len as u8),
            _ => self.long_header(0xde, len),
        }
    }

    /// A header with a length of 2 bytes, or with the next first byte one of 4.
    fn long_header(&mut self, first: u8, len: usize) {
        if let Ok(len) = u16::try_from(len) {
            self.0.push(first);
            self.0.extend_from_slice(&len.to_be_bytes());
        } else {
            let len = u32::try_from(len).expect("a length below 2^32");
            self.0.push(first + 1);
            self.0.extend_from_slice(&len.to_be_bytes());
        }
    }

    /// The start of an extension of `len` bytes.
    ///
    /// # Panics
    /// If `len` is beyond 2^32 - 1.
    #[inline]
    pub fn extension_header(&mut self, extension: Extension, len: usize) {
        match len {
            1 | 2 | 4 | 8 | 16 => self.0.push(0xd4 + len.trailing_zeros() as u8),
            0..=0xff => self.0.extend_from_slice(&[0xc7, len as u8]),
            _ => {
                let len = u32::try_from(len).expect("a length below 2^32");
                self.0.push(0xc9);
                self.0.extend_from_slice(&len.to_be_bytes());
            }
        }
        self.0.push(extension as i8 as u8);
    }

    /// An extension.
    pub fn extension(&mut self, extension: Extension, content: &[u8]) {
        self.extension_header(extension, content.len());
        self.0.extend_from_slice(content);
    }

    /// The start of an extension whose content is written next and ended by
    /// [`close`](Self::close). `short` is a guess that it stays below 256 bytes; a wrong one
    /// costs time alone.
    #[inline]
    pub fn open(&mut self, extension: Extension, short: bool) -> OpenExtension {
        let number = extension as i8 as u8;
        if short {
            self.0.extend_from_slice(&[0xc7, 0, number]);
        } else {
            self.0.extend_from_slice(&[0xc9, 0, 0, 0, 0, number]);
        }
        OpenExtension {
            content: self.0.len(),
            short,
        }
    }

    /// Ends an extension.
    ///
    /// # Panics
    /// If the content is longer than 2^32 - 1 bytes; see [`fits`](Self::fits).
    #[inline]
    pub fn close(&mut self, open: OpenExtension) {
        let len = self.0.len() - open.content;
        if open.short && len <= 0xff {
            self.0[open.content - 2] = len as u8;
            return;
        }
        let len = u32::try_from(len)
            .expect("a length below 2^32")
            .to_be_bytes();
        let number = self.0[open.content - 1];
        if open.short {
            let header = [0xc9, len[0], len[1], len[2], len[3], number];
            self.0.splice(open.content - 3..open.content, header);
        } else {
            self.0[open.content - 5..open.content - 1].copy_from_slice(&len);
        }
    }

    /// Whether all that was written so far is short enough for every header.
    #[must_use]
    pub fn fits(&self) -> bool {
        u32::try_from(self.0.len()).is_ok()
    }
}

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// No value.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that may be beyond [`i64::MAX`].
    Uint(u64),
    /// A float.
    Float(f64),
    /// UTF-8 text, not yet checked.
    Str(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The start of so many elements.
    Array(usize),
    /// The start of so many pairs.
    Map(usize),
    /// A number and its content. Read a nested one with [`Reader::enter`].
    Extension(i8, &'a [u8]),
}

/// Reads MessagePack, whatever the bytes. Elements that are announced must have bytes left that
/// they can lie in, so announcing many costs nobody memory.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Announced, but not yet read. Each needs a byte at least.
    pending: usize,
}

impl<'a> Reader<'a> {
    /// Reads one value, which may be a container.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            pending: 1,
        }
    }

    /// A reader for the content of an extension that holds one value.
    #[must_use]
    pub fn enter(content: &'a [u8]) -> Self {
        Self::new(content)
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty() && self.pending == 0
    }

    /// The next token.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if the bytes are no MessagePack or end too early.
    #[inline]
    pub fn token(&mut self) -> Result<Token<'a>> {
        self.step().ok_or_else(malformed)
    }

    #[inline]
    fn step(&mut self) -> Option<Token<'a>> {
        self.pending = self.pending.checked_sub(1)?;
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match first {
            0..=0x7f => Token::Int(i64::from(first)),
            0x80..=0x8f => self.map(usize::from(first & 15))?,
            0x90..=0x9f => self.array(usize::from(first & 15))?,
            0xa0..=0xbf => Token::Str(self.take(usize::from(first & 31))?),
            0xc0 => Token::Nil,
            0xc1 => return None,
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let len = self.length(1 << (first - 0xc4))?;
                Token::Bytes(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.length(1 << (first - 0xc7))?;
                self.extension(len)?
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(*self.chunk()?))),
            0xcb => Token::Float(f64::from_be_bytes(*self.chunk()?)),
            0xcc => Token::Int(i64::from(u8::from_be_bytes(*self.chunk()?))),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(*self.chunk()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(*self.chunk()?))),
            0xcf => Token::Uint(u64::from_be_bytes(*self.chunk()?)),
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(*self.chunk()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(*self.chunk()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(*self.chunk()?))),
            0xd3 => Token::Int(i64::from_be_bytes(*self.chunk()?)),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.length(1 << (first - 0xd9))?;
                Token::Str(self.take(len)?)
            }
            0xdc | 0xdd => {
                let len = self.length(2 << (first - 0xdc))?;
                self.array(len)?
            }
            0xde | 0xdf => {
                let len = self.length(2 << (first - 0xde))?;
                self.map(len)?
            }
            0xe0..=0xff => Token::Int(i64::from(first as i8)),
        })
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(chunk)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// A length of 1, 2 or 4 bytes.
    #[inline]
    fn length(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte)),
        )
    }

    fn extension(&mut self, len: usize) -> Option<Token<'a>> {
        let number = self.chunk::<1>()?[0] as i8;
        Some(Token::Extension(number, self.take(len)?))
    }

    #[inline]
    fn array(&mut self, len: usize) -> Option<Token<'a>> {
        self.announce(len)?;
        Some(Token::Array(len))
    }

    #[inline]
    fn map(&mut self, len: usize) -> Option<Token<'a>> {
        self.announce(len.checked_mul(2)?)?;
        Some(Token::Map(len))
    }

    #[inline]
    fn announce(&mut self, elements: usize) -> Option<()> {
        self.pending = self.pending.checked_add(elements)?;
        (self.pending <= self.rest.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8]) -> Result<Vec<Token<'_>>> {
        let mut reader = Reader::new(bytes);
        let mut tokens = Vec::new();
        while !reader.is_at_end() {
            tokens.push(reader.token()?);
        }
        Ok(tokens)
    }

    #[test]
    fn integers_of_every_width() {
        let edges = [
            0,
            1,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            u64::from(u32::MAX),
            u64::from(u32::MAX) + 1,
        ];
        for edge in edges {
            for value in [edge as i64, -(edge as i64), -(edge as i64) - 1] {
                let mut writer = Writer::default();
                writer.signed(value);
                let token = tokens(&writer.0).unwrap()[0];
                let read = match token {
                    Token::Int(read) => i128::from(read),
                    Token::Uint(read) => i128::from(read),
                    other => panic!("{other:?}"),
                };
                assert_eq!(read, i128::from(value));
            }
        }
        let mut writer = Writer::default();
        writer.signed(i64::MIN);
        writer.0.clear();
        writer.unsigned(u64::MAX);
        assert_eq!(tokens(&writer.0).unwrap(), [Token::Uint(u64::MAX)]);
    }

    #[test]
    fn lengths_of_every_width() {
        for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let content = vec![b'x'; len];
            let mut writer = Writer::default();
            writer.text(&content);
            assert_eq!(tokens(&writer.0).unwrap(), [Token::Str(&content)]);
            writer.0.clear();
            writer.bytes(&content);
            assert_eq!(tokens(&writer.0).unwrap(), [Token::Bytes(&content)]);
            for short in [false, true] {
                writer.0.clear();
                let open = writer.open(Extension::Tuple, short);
                writer.0.extend_from_slice(&content);
                writer.close(open);
                assert_eq!(tokens(&writer.0).unwrap(), [Token::Extension(2, &content)]);
            }
            writer.0.clear();
            writer.extension(Extension::Set, &content);
            assert_eq!(tokens(&writer.0).unwrap(), [Token::Extension(3, &content)]);
            writer.0.clear();
            writer.array_header(len);
            writer.0.extend(std::iter::repeat_n(0xc0, len));
            assert_eq!(tokens(&writer.0).unwrap().len(), len + 1);
            writer.0.clear();
            writer.map_header(len);
            writer.0.extend(std::iter::repeat_n(0xc0, 2 * len));
            assert_eq!(tokens(&writer.0).unwrap().len(), 2 * len + 1);
        }
    }

    #[test]
    fn more_elements_than_bytes_are_refused() {
        assert!(tokens(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0]).is_err());
        assert!(tokens(&[0x92, 0x92, 0, 0]).is_err());
        assert!(tokens(&[0xc1]).is_err());
        assert!(tokens(&[]).is_err());
    }

    #[test]
    fn every_extension_has_its_number() {
        for extension in Extension::ALL {
            assert_eq!(Extension::from_number(extension as i8), Some(extension));
        }
        for number in [i8::MIN, -1, 0, 9, i8::MAX] {
            assert_eq!(Extension::from_number(number), None);
        }
    }
}
