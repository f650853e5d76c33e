//! Bytes and text.

use super::typed::{Decode, Encode, Encoded, Object};
use crate::frame::Codec;
use crate::{Access, Blob, Error, ErrorKind, Result};

impl Encode for [u8] {
    fn encode(&self) -> Result<Encoded<'_>> {
        Ok(Encoded::new(Codec::Bytes).buffer(self))
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self) -> Result<Encoded<'_>> {
        self.as_slice().encode()
    }
}

impl Encode for Vec<u8> {
    fn encode(&self) -> Result<Encoded<'_>> {
        self.as_slice().encode()
    }
}

impl Decode for Vec<u8> {
    fn decode(object: &Object) -> Result<Self> {
        object.expect(Codec::Bytes, "Vec<u8>")?;
        Ok(object.buffer(0)?.to_vec())
    }
}

impl Encode for Blob {
    fn encode(&self) -> Result<Encoded<'_>> {
        (**self).encode()
    }
}

/// The bytes where they lie: nothing is copied. Also reads what a user's own serializer wrote.
impl Decode for Blob {
    const ACCESS: Access = Access::Auto;

    fn decode(object: &Object) -> Result<Self> {
        if object.codec() != Codec::Foreign {
            object.expect(Codec::Bytes, "Blob")?;
        }
        object.buffer_blob(0)
    }
}

impl Encode for str {
    fn encode(&self) -> Result<Encoded<'_>> {
        Ok(Encoded::new(Codec::Str).buffer(self.as_bytes()))
    }
}

impl Encode for String {
    fn encode(&self) -> Result<Encoded<'_>> {
        self.as_str().encode()
    }
}

impl Decode for String {
    fn decode(object: &Object) -> Result<Self> {
        object.expect(Codec::Str, "String")?;
        Ok(text(object.buffer(0)?)?.to_owned())
    }
}

/// Text of a frame.
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: its text is not UTF-8",
        )
        .with_source(error)
    })
}
