//! Objects to frames, and back.
//!
//! `encode` tries the codecs in order, the cheapest question first, and gives pieces by
//! reference; `decode` reads what it made, and what ProxyStore 1.x made.

mod arenas;
mod arrow;
mod buffer;
mod encoded;
mod foreign;
mod garbage;
mod legacy;
mod modules;
mod ndarray;
mod objects;
mod owner;
mod pickle;
mod pickles;
mod reducers;
mod text;
mod tree;

pub(crate) use buffer::{BlobMemory, Source};
pub(crate) use encoded::Encoded;
pub(crate) use foreign::{bytes_for_deserializer, encode_foreign};
pub(crate) use pickles::Pickles;
pub(crate) use text::{copy_to_bytes, new_bytes};

use crate::error::to_python;
use proxystore::frame::{Codec, Frame};
use proxystore::{Blob, Error, ErrorKind};
use pyo3::prelude::*;

/// Adds the room's names to the module.
pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(serialize, m)?)?;
    m.add_function(wrap_pyfunction!(deserialize, m)?)?;
    m.add_function(wrap_pyfunction!(encoded_len, m)?)?;
    m.add_function(wrap_pyfunction!(ndarray::rebuild_array, m)?)?;
    m.add_function(wrap_pyfunction!(objects::pack_objects, m)?)?;
    m.add_function(wrap_pyfunction!(objects::unpack_objects, m)?)?;
    m.add_function(wrap_pyfunction!(reducers::reduce_object, m)?)?;
    Ok(())
}

/// Encodes any object.
///
/// # Errors
/// `SerializationError`, with the cause chained, if no codec takes the object.
pub(crate) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    if let Some(encoded) = text::encode(obj)? {
        return Ok(encoded);
    }
    if let Some(encoded) = ndarray::encode(obj)? {
        return Ok(encoded);
    }
    if let Some(encoded) = tree::encode(obj)? {
        return Ok(encoded);
    }
    reducers::refresh(obj.py())?;
    if let Some(encoded) = arrow::encode(obj)? {
        return Ok(encoded);
    }
    pickle::encode(obj)
}

/// Decodes what `encode` framed, or ProxyStore 1.x's serialized form. A foreign frame's content is
/// decoded in its turn. Arrays come back writable: over the blob itself when it is writable, else
/// over a copy.
///
/// # Errors
/// `FrameError` for bytes that are damaged or none of these, `NewerFrameError`, and
/// `SerializationError` if the object cannot be made again from sound bytes.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    blob: &Blob,
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = owner::Owner::object_of(py, blob) {
        return Ok(object);
    }
    decode_source(py, &Source::owned(blob), pickles)
}

/// As [`decode`], but arrays lie over the blob without a copy, read-only.
pub(crate) fn decode_view<'py>(
    py: Python<'py>,
    blob: &Blob,
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = owner::Owner::object_of(py, blob) {
        return Ok(object);
    }
    decode_source(py, &Source::view(blob), pickles)
}

/// A plain tree of values as MessagePack alone; `None` for anything else, and for one with long
/// parts, which lie in buffers.
pub(crate) fn encode_tree(obj: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    Ok(tree::encode(obj)?.and_then(Encoded::into_stream))
}

/// One value of MessagePack, which may refer to the buffers of the frame that it is part of.
pub(crate) fn decode_part<'py>(
    py: Python<'py>,
    message: Option<(&Frame<'_>, &Source)>,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    tree::decode_part(py, message, bytes)
}

/// Whether arrays can be made without an import.
pub(crate) fn is_numpy_loaded(py: Python<'_>) -> PyResult<bool> {
    Ok(modules::Numpy::if_loaded(py)?.is_some())
}

/// A serializer's output may hold a frame again, but nobody nests them deeper than this.
const MAX_NESTING: usize = 8;

fn decode_source<'py>(
    py: Python<'py>,
    source: &Source,
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    let mut source = source.clone();
    for _ in 0..MAX_NESTING {
        if !Frame::is_frame(source.blob()) {
            return legacy::decode(py, &source, pickles);
        }
        let blob = source.blob().clone();
        let frame = Frame::parse(&blob).map_err(|error| to_python(py, error))?;
        match frame.codec() {
            Codec::Pickle => {
                pickles.allow(py)?;
                return pickle::decode(py, &frame, &source);
            }
            Codec::Bytes => return text::decode_bytes(py, &frame),
            Codec::Str => return text::decode_str(py, frame.buffer(0)),
            Codec::Ndarray => return ndarray::decode(py, &frame, &source),
            Codec::MessagePack => return tree::decode(py, &frame, &source),
            Codec::Foreign => source = source.slice(frame.buffer_ranges()[0].clone()),
            Codec::Arrow => return arrow::decode(py, &frame, &source),
            codec => {
                let message = format!("no decoder for the codec {codec:?}");
                return Err(to_python(py, Error::new(ErrorKind::NewerFrame, message)));
            }
        }
    }
    Err(to_python(
        py,
        Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: frames within frames without an end",
        ),
    ))
}

/// One frame, joined.
#[pyfunction]
fn serialize<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = obj.py();
    let encoded = encode(obj)?;
    encoded.with_payload(py, |payload| {
        text::new_bytes(py, payload.len(), |target| payload.copy_to(target))
    })
}

/// How many bytes the frame of an object has, without joining it.
#[pyfunction]
fn encoded_len(obj: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(encode(obj)?.total_len(obj.py()))
}

/// The object of a frame or of ProxyStore 1.x's serialized form.
#[pyfunction]
fn deserialize<'py>(buffer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decode_bytes(buffer, Pickles::Load)
}

/// As [`decode`], of a bytes-like object.
pub(crate) fn decode_bytes<'py>(
    buffer: &Bound<'py, PyAny>,
    pickles: Pickles,
) -> PyResult<Bound<'py, PyAny>> {
    decode_source(buffer.py(), &Source::of_python(buffer)?, pickles)
}
