//! Values of an event that mean something to Python alone: MessagePack where it has a form for
//! them, and otherwise a frame of any codec as bytes.

use crate::codec::{self, Pickles, Source};
use crate::error::to_python;
use proxystore::codec::message_pack::{Reader, Token, Writer};
use proxystore::frame::{Codec, Frame};
use proxystore::{Blob, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

const NO_PAIRS: u8 = 0x80;

/// One value.
///
/// # Errors
/// `SerializationError` if it would be a pickle and those are refused.
pub(super) fn packed(value: &Bound<'_, PyAny>, pickles: Pickles) -> PyResult<Vec<u8>> {
    let py = value.py();
    if let Ok(dict) = value.cast_exact::<PyDict>()
        && dict.is_empty()
    {
        return Ok(vec![NO_PAIRS]);
    }
    let mut writer = Writer::default();
    if let Ok(text) = value.cast_exact::<PyString>()
        && let Ok(text) = text.to_str()
    {
        check_len(py, text.len())?;
        writer.text(text.as_bytes());
        return Ok(writer.0);
    }
    if let Some(bytes) = codec::encode_tree(value)? {
        return Ok(bytes);
    }
    let encoded = codec::encode(value)?;
    if pickles == Pickles::Refuse && encoded.codec() == Codec::Pickle {
        let message = "these metadata can only be pickled, which a store with pickle=False does \
                       not: send numbers, text, bytes, or lists and dictionaries of such values";
        return Err(to_python(py, Error::new(ErrorKind::Encode, message)));
    }
    let len = encoded.total_len(py);
    check_len(py, len)?;
    writer.bytes_header(len);
    encoded.with_payload(py, |payload| {
        for piece in payload.pieces() {
            writer.0.extend_from_slice(piece);
        }
    });
    Ok(writer.0)
}

fn check_len(py: Python<'_>, len: usize) -> PyResult<()> {
    if u32::try_from(len).is_ok() {
        return Ok(());
    }
    let message = format!("{len} bytes of metadata in one event, which takes 2^32 - 1");
    Err(to_python(py, Error::new(ErrorKind::Encode, message)))
}

/// What [`packed`] made, or another language. It may be a part of a message's frame.
///
/// # Errors
/// `UntrustedFrameError` if it is a pickle and those are refused.
pub(super) fn unpacked<'py>(
    py: Python<'py>,
    message: Option<(&Frame<'_>, &Source)>,
    bytes: &[u8],
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    match bytes {
        [NO_PAIRS] => Ok(PyDict::new(py).into_any()),
        _ => match Reader::new(bytes).token() {
            Ok(Token::Bytes(frame)) => codec::decode(py, &Blob::copy_from(frame), pickles),
            _ => codec::decode_part(py, message, bytes),
        },
    }
}

/// One value of a message, packed.
#[pyfunction]
pub(super) fn pack<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(value.py(), &packed(value, Pickles::Load)?))
}

/// The value that was packed.
#[pyfunction]
pub(super) fn unpack<'py>(bytes: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    unpacked(bytes.py(), None, bytes.as_bytes(), Pickles::Load)
}
