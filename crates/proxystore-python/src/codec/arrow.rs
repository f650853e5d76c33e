//! Tables as Arrow IPC streams.

use super::buffer::{BufferView, Source};
use super::encoded::Encoded;
use super::{pickle, reducers};
use proxystore::frame::{Codec, Frame};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Encodes tables of the libraries that the program has. `reducers::refresh` was called.
pub(super) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    let Some(encoder) = reducers::arrow_encoder(obj)? else {
        return Ok(None);
    };
    let stream: Option<(Bound<'_, PyBytes>, Vec<Bound<'_, PyAny>>)> =
        encoder.call1((obj,))?.extract()?;
    let Some((label, pieces)) = stream else {
        return Ok(None);
    };
    let mut encoded = Encoded::new(Codec::Arrow);
    encoded.copy_to_stream(label.as_bytes());
    let views = pieces
        .iter()
        .map(BufferView::contiguous)
        .collect::<PyResult<Vec<_>>>()?;
    encoded.push_views(views);
    Ok(Some(encoded))
}

/// The table of a frame.
pub(super) fn decode<'py>(
    py: Python<'py>,
    frame: &Frame<'_>,
    source: &Source,
) -> PyResult<Bound<'py, PyAny>> {
    let memory = source.memory(py, frame.buffer_ranges()[0].clone());
    let decode = || {
        py.import("proxystore._reducers.tables")?
            .getattr("decode")?
            .call1((PyBytes::new(py, frame.stream()), memory))
    };
    decode().map_err(|error| pickle::failed_to_load(py, error))
}
