//! Numbers and texts in a row.

use super::malformed;
use proxystore::Result;

/// Appends a number.
pub(super) fn number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Appends a text; what is beyond 65535 bytes of it is cut.
pub(super) fn text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.extend_from_slice(&(end as u16).to_le_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

/// Takes fields off the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| malformed("a message ends in the middle of a field"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(malformed("a flag that is neither 0 nor 1")),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let mut len = [0; 2];
        len.copy_from_slice(self.take(2)?);
        std::str::from_utf8(self.take(u16::from_le_bytes(len).into())?)
            .map_err(|_| malformed("a text that is not UTF-8"))
    }

    /// How many items follow, each of `least` bytes or more.
    pub(super) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() / least => Ok(count),
            _ => Err(malformed("a list that is longer than its message")),
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(malformed("a message with more fields than it has"))
        }
    }
}
