//! Writing MessagePack.

use super::Extension;

/// Writes MessagePack, each value in its shortest form.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "nothing but its bytes")]
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
        // Keys and labels, most often: quicker than calling `memcpy` with an unknown length.
        if let (4..=16, Some(first), Some(last)) =
            (utf8.len(), utf8.first_chunk::<4>(), utf8.last_chunk::<4>())
        {
            let mut short = [0; 17];
            short[0] = 0xa0 | utf8.len() as u8;
            let end = utf8.len() + 1;
            if let (Some(first), Some(last)) = (utf8.first_chunk::<8>(), utf8.last_chunk::<8>()) {
                short[1..9].copy_from_slice(first);
                short[end - 8..end].copy_from_slice(last);
            } else {
                short[1..5].copy_from_slice(first);
                short[end - 4..end].copy_from_slice(last);
            }
            self.0.extend_from_slice(&short);
            self.0.truncate(self.0.len() - 17 + end);
            return;
        }
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
