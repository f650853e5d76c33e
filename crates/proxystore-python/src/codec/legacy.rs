//! The serialized form of ProxyStore 1.x: two letters, a newline, the content.

use super::buffer::Source;
use super::{Pickles, pickle, text};
use crate::error::to_python;
use proxystore::frame::{ENVELOPE_MAGIC, Frame};
use proxystore::{Error, ErrorKind};
use pyo3::prelude::*;

const HEAD: usize = 3;

pub(super) fn decode<'py>(
    py: Python<'py>,
    source: &Source,
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    let bytes: &[u8] = source.blob();
    let Some((head, content)) = bytes.split_at_checked(HEAD) else {
        return Err(unknown(py, bytes));
    };
    let object = match head {
        b"BS\n" => text::copy_to_bytes(py, content),
        b"US\n" => text::decode_str(py, content),
        b"PK\n" | b"CP\n" | b"PD\n" => {
            pickles.allow(py)?;
            return pickle::loads(py, content, None);
        }
        b"NP\n" => load_array(py, content, pickles),
        b"PL\n" => load_polars(py, content),
        _ => return Err(unknown(py, bytes)),
    };
    object.map_err(|error| pickle::failed_to_load(py, error))
}

fn load_array<'py>(
    py: Python<'py>,
    content: &[u8],
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    let options = pyo3::types::PyDict::new(py);
    options.set_item("allow_pickle", pickles == Pickles::Load)?;
    py.import("numpy")?
        .getattr("load")?
        .call((as_file(py, content)?,), Some(&options))
}

fn load_polars<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("polars")?
        .getattr("read_ipc")?
        .call1((as_file(py, content)?,))
}

fn as_file<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("io")?
        .getattr("BytesIO")?
        .call1((text::copy_to_bytes(py, content)?,))
}

fn unknown(py: Python<'_>, bytes: &[u8]) -> PyErr {
    if bytes.starts_with(&ENVELOPE_MAGIC)
        && let Err(error) = Frame::parse(bytes)
    {
        return to_python(py, error);
    }
    let start = &bytes[..bytes.len().min(8)];
    let message = format!(
        "{} bytes that begin with b\"{}\" are neither a frame nor ProxyStore 1.x's serialized form; if a serializer of your own made them, pass its deserializer",
        bytes.len(),
        start.escape_ascii()
    );
    to_python(py, Error::new(ErrorKind::InvalidFrame, message))
}
