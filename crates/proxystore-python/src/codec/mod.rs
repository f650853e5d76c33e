//! Objects to frames, and back.

use crate::error::to_python;
use proxystore::frame::{Codec, Frame, FrameBuilder, Head};
use proxystore::{Blob, Payload};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Adds the room's names to the module.
pub(crate) fn register(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}

/// An object as the pieces of a frame. Holds references to everything that the pieces lie in.
pub(crate) struct Encoded {
    codec: Codec,
    stream: Option<Py<PyBytes>>,
    buffer: Option<Py<PyBytes>>,
}

impl Encoded {
    /// The pieces, by reference: what they lie in is kept by `self`.
    pub(crate) fn builder(&self, py: Python<'_>) -> FrameBuilder<'_> {
        let mut builder = FrameBuilder::new(self.codec);
        if let Some(stream) = &self.stream {
            builder.push_stream(stream.as_bytes(py));
        }
        if let Some(buffer) = &self.buffer {
            builder.push_buffer(buffer.as_bytes(py));
        }
        builder
    }

    /// The pieces in order. `use_it` may release the interpreter lock meanwhile.
    pub(crate) fn with_payload<R>(
        &self,
        py: Python<'_>,
        use_it: impl FnOnce(&Payload<'_>) -> R,
    ) -> R {
        let builder = self.builder(py);
        let head: Head = builder.head();
        use_it(&builder.payload(&head))
    }
}

/// Encodes any object.
pub(crate) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let dumps = obj.py().import("pickle")?.getattr("dumps")?;
    let stream = dumps.call1((obj, 5))?.cast_into::<PyBytes>()?.unbind();
    Ok(Encoded {
        codec: Codec::Pickle,
        stream: Some(stream),
        buffer: None,
    })
}

/// Frames bytes that a user's own serializer made.
pub(crate) fn encode_foreign(bytes: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let bytes = bytes
        .py()
        .get_type::<PyBytes>()
        .call1((bytes,))?
        .cast_into::<PyBytes>()?;
    Ok(Encoded {
        codec: Codec::Foreign,
        stream: None,
        buffer: Some(bytes.unbind()),
    })
}

/// Decodes what `encode` framed, or ProxyStore 1.x's serialized form. A foreign frame's content is
/// decoded in its turn.
pub(crate) fn decode<'py>(py: Python<'py>, blob: &Blob) -> PyResult<Bound<'py, PyAny>> {
    let frame = Frame::parse(blob).map_err(|error| to_python(py, error))?;
    py.import("pickle")?
        .getattr("loads")?
        .call1((PyBytes::new(py, frame.stream()),))
}

/// What a user's own deserializer is given: the content of a foreign frame, else all the bytes.
pub(crate) fn bytes_for_deserializer<'py>(
    py: Python<'py>,
    blob: &Blob,
) -> PyResult<Bound<'py, PyBytes>> {
    if Frame::is_frame(blob) {
        let frame = Frame::parse(blob).map_err(|error| to_python(py, error))?;
        if frame.codec() == Codec::Foreign {
            return Ok(PyBytes::new(py, frame.buffer(0)));
        }
    }
    Ok(PyBytes::new(py, blob))
}
