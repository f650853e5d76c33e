//! Bytes that a user's own serializer made.

use super::buffer::BufferView;
use super::encoded::Encoded;
use super::owner::Owner;
use super::text;
use crate::error::to_python;
use proxystore::Blob;
use proxystore::frame::{Codec, ENVELOPE_MAGIC, Frame};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

/// Frames bytes that a user's own serializer made.
///
/// # Errors
/// `TypeError` for anything but `bytes`, `bytearray` and `memoryview`.
pub(crate) fn encode_foreign(bytes: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let mut encoded = Encoded::new(Codec::Foreign);
    if let Ok(bytes) = bytes.cast::<PyBytes>() {
        encoded.push_bytes(bytes);
    } else if bytes.is_instance_of::<PyByteArray>() {
        encoded.push_view(BufferView::contiguous(bytes)?);
    } else if bytes.is_instance_of::<PyMemoryView>() {
        text::push_in_order(&mut encoded, bytes)?;
    } else {
        return Err(PyTypeError::new_err(format!(
            "a serializer must return bytes, a bytearray or a memoryview, not {}",
            bytes.get_type().fully_qualified_name()?
        )));
    }
    Ok(encoded)
}

/// What a user's own deserializer is given: the content of a foreign frame, else all the bytes.
pub(crate) fn bytes_for_deserializer<'py>(
    py: Python<'py>,
    blob: &Blob,
) -> PyResult<Bound<'py, PyBytes>> {
    if let Some(bytes) = Owner::foreign_of(py, blob) {
        return Ok(bytes.cast_into::<PyBytes>()?);
    }
    let mut content: &[u8] = blob;
    if Frame::is_frame(blob) || blob.starts_with(&ENVELOPE_MAGIC) {
        let frame = Frame::parse(blob).map_err(|error| to_python(py, error))?;
        if frame.codec() == Codec::Foreign {
            content = &blob[frame.buffer_ranges()[0].clone()];
        }
    }
    Ok(text::copy_to_bytes(py, content)?.cast_into::<PyBytes>()?)
}
