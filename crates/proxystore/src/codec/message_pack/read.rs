//! Reading MessagePack.

use super::malformed;
use crate::Result;

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "MessagePack has no other tokens")]
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
    /// [`InvalidFrame`](crate::ErrorKind::InvalidFrame) if the bytes are no MessagePack or end too early.
    #[inline(always)] // whoever asks for one takes it apart at once
    pub fn token(&mut self) -> Result<Token<'a>> {
        self.step().ok_or_else(malformed)
    }

    /// The next value, whatever it is, as the bytes that it lies in.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn value(&mut self) -> Result<&'a [u8]> {
        let (start, pending) = (self.rest, self.pending);
        loop {
            self.token()?;
            if self.pending < pending {
                return Ok(&start[..start.len() - self.rest.len()]);
            }
        }
    }

    #[inline(always)]
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
