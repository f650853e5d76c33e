//! Messages that were received, as rows of Python's values.

use super::inline::pickles_of;
use super::kind;
use super::packed::unpacked;
use crate::codec::{self, BlobMemory, Pickles, Source};
use crate::error::to_python;
use proxystore::Blob;
use proxystore::frame::{Codec, Frame};
use proxystore::stream::form::{Form, Row, no_event};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

/// A topic, whether it is a batch, and the rows of the events.
type Message<'py> = (Bound<'py, PyString>, bool, Bound<'py, PyList>);

/// Reads a message; None if it is none of ours. A row is
/// `(kind, metadata, content, recipe, evict, key_type)`, where the content is the object, its
/// frame, or the fields of its key.
#[pyfunction]
pub(super) fn read_message<'py>(message: &Bound<'py, PyAny>) -> PyResult<Option<Message<'py>>> {
    let py = message.py();
    let source = Source::of_python(message)?;
    let blob = source.blob();
    if !Frame::is_frame(blob) {
        return Ok(None);
    }
    let frame = Frame::parse(blob).map_err(|error| to_python(py, error))?;
    if frame.codec() != Codec::MessagePack {
        return Ok(None);
    }
    let count = frame.buffer_ranges().len();
    let form = Form::read(frame.stream(), |index| {
        (index < count).then(|| frame.buffer(index))
    })
    .map_err(|error| to_python(py, error))?;
    let stores = form
        .stores
        .iter()
        .map(|packed| {
            let recipe = recipe(py, packed)?;
            let pickles = pickles_of(&recipe)?;
            Ok((recipe.into_any(), pickles))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let pickles_in = |store: Option<usize>| {
        let store = store.and_then(|place| stores.get(place));
        store.map_or(Pickles::Load, |(_, pickles)| *pickles)
    };
    let is_immutable = message.is_exact_instance_of::<PyBytes>();
    let none = py.None().into_bound(py);
    let rows = PyList::empty(py);
    for row in &form.rows {
        let (kind, metadata, content, store, evict, key_type) = match row {
            Row::End => (kind::END, &[][..], none.clone(), None, false, None),
            Row::Object {
                frame: object,
                metadata,
                store: Some(place),
            } => {
                let memory = memory_of(py, blob, object, is_immutable)?;
                let memory = Bound::new(py, memory)?.into_any();
                (kind::INLINE, *metadata, memory, Some(*place), false, None)
            }
            Row::Object {
                frame: object,
                metadata,
                ..
            } => {
                let start = object.as_ptr().addr() - blob.as_ptr().addr();
                let object = blob.slice(start..start + object.len());
                let object = codec::decode(py, &object, Pickles::Load)?;
                (kind::VALUE, *metadata, object, None, false, None)
            }
            Row::Key {
                key,
                key_type,
                evict,
                metadata,
                store,
            } => {
                let fields = unpacked(py, Some((&frame, &source)), key, pickles_in(Some(*store)))?;
                (
                    kind::KEY,
                    *metadata,
                    fields,
                    Some(*store),
                    *evict,
                    *key_type,
                )
            }
        };
        let metadata = if kind == kind::END {
            none.clone()
        } else {
            let metadata = unpacked(py, Some((&frame, &source)), metadata, pickles_in(store))?;
            if !metadata.is_instance_of::<PyDict>() {
                return Err(to_python(py, no_event("its metadata are no map")));
            }
            metadata
        };
        let recipe = store.and_then(|place: usize| stores.get(place));
        let recipe = recipe.map_or(&none, |(recipe, _)| recipe).clone();
        let key_type = key_type.map(|path| PyString::new(py, path).into_any());
        rows.append(PyTuple::new(
            py,
            [
                PyInt::new(py, kind).into_any(),
                metadata,
                content,
                recipe,
                PyBool::new(py, evict).to_owned().into_any(),
                key_type.unwrap_or_else(|| none.clone()),
            ],
        )?)?;
    }
    Ok(Some((PyString::new(py, form.topic), form.is_batch, rows)))
}

/// How to reopen a store, by its packed fields.
fn recipe<'py>(py: Python<'py>, packed: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    static RECIPE_OF: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let recipe = RECIPE_OF
        .import(py, "proxystore.stream._wire", "recipe_of")?
        .call1((PyBytes::new(py, packed),))?;
    Ok(recipe.cast_into::<PyTuple>()?)
}

/// An object's frame where it lies in its message, unless that would keep more than twice as much
/// memory in use.
fn memory_of(
    py: Python<'_>,
    message: &Blob,
    frame: &[u8],
    is_immutable: bool,
) -> PyResult<BlobMemory> {
    let blob = if is_immutable && 2 * frame.len() >= message.len() {
        let start = frame.as_ptr().addr() - message.as_ptr().addr();
        message.slice(start..start + frame.len())
    } else {
        // Never writable: an object that is decoded from it has memory of its own.
        let copy = PyBytes::new(py, frame);
        Source::of_python(copy.as_any())?.blob().clone()
    };
    Ok(BlobMemory::read_only(blob))
}
