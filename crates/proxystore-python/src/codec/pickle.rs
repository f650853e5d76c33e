//! Everything else: pickle, protocol 5, with large memory out of band; then cloudpickle.

use super::arenas::HugeArenas;
use super::buffer::{BufferView, Source};
use super::encoded::Encoded;
use super::garbage;
use super::reducers;
use proxystore::frame::{Codec, Frame};
use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};
use std::ops::Range;

/// Pieces of the stream that are shorter than this are copied together; a longer one is kept by
/// reference.
const KEEP_FROM: usize = 16 << 10;
/// A buffer shorter than this stays in the stream, which keeps the table of buffers short.
pub(super) const OUT_OF_BAND_FROM: usize = 512;

/// Takes what a pickler writes.
#[pyclass(module = "proxystore._core")]
struct PickleSink(Encoded);

#[pymethods]
impl PickleSink {
    fn write(&mut self, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            let slice = bytes.as_bytes();
            if slice.len() < KEEP_FROM {
                self.0.copy_to_stream(slice);
            } else {
                self.0.bytes_to_stream(bytes);
            }
            return Ok(slice.len());
        }
        let view = BufferView::get(data, ffi::PyBUF_SIMPLE)?;
        let len = view.len();
        if len < KEEP_FROM {
            self.0.copy_to_stream(view.bytes());
        } else {
            self.0.view_to_stream(view);
        }
        Ok(len)
    }

    /// Takes an out-of-band buffer; what is true stays in the stream.
    fn __call__(&mut self, buffer: &Bound<'_, PyAny>) -> bool {
        match BufferView::contiguous(buffer) {
            Ok(view) if view.len() >= OUT_OF_BAND_FROM => {
                self.0.push_view(view);
                false
            }
            _ => true,
        }
    }
}

/// Encodes any object that pickle or cloudpickle takes.
pub(super) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let py = obj.py();
    let first = match dump(obj, pickler(py)?) {
        Ok(encoded) => return Ok(encoded),
        Err(error) => error,
    };
    if !may_try_again(py, &first) {
        return Err(first);
    }
    let second = match cloud_pickler(py).and_then(|pickler| dump(obj, pickler)) {
        Ok(encoded) => return Ok(encoded),
        Err(error) => error,
    };
    if !may_try_again(py, &second) {
        return Err(second);
    }
    Err(serialization_error(
        py,
        format!(
            "an object of type {} cannot be serialized: {}",
            obj.get_type().fully_qualified_name()?,
            second.value(py)
        ),
        second,
    ))
}

/// Interrupts and exhausted memory are not pickle's business.
fn may_try_again(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyMemoryError>(py)
}

fn dump(obj: &Bound<'_, PyAny>, pickler: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let py = obj.py();
    let sink = Bound::new(py, PickleSink(Encoded::new(Codec::Pickle)))?;
    let options = PyDict::new(py);
    options.set_item(pyo3::intern!(py, "protocol"), 5)?;
    options.set_item(pyo3::intern!(py, "buffer_callback"), &sink)?;
    let pickler = pickler.call((&sink,), Some(&options))?;
    pickler.call_method1(pyo3::intern!(py, "dump"), (obj,))?;
    let mut encoded = std::mem::replace(&mut sink.borrow_mut().0, Encoded::new(Codec::Pickle));
    // A long string's piece is a bare view of memory that belongs to the string, which the
    // pickler's memory of what it has seen keeps alive.
    encoded.keep(&pickler);
    Ok(encoded)
}

/// The pickler with our reducers.
fn pickler<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
    static PICKLER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PICKLER
        .get_or_try_init(py, || {
            let base = py.import("_pickle")?.getattr("Pickler")?;
            let attributes = PyDict::new(py);
            // A built-in function binds to no instance: it is called with the object alone.
            let reducer = wrap_pyfunction!(reducers::reduce_object, py)?;
            attributes.set_item("reducer_override", reducer)?;
            let class = py
                .get_type::<PyType>()
                .call1(("Pickler", (base,), attributes))?;
            Ok(class.unbind())
        })
        .map(|pickler| pickler.bind(py))
}

/// cloudpickle's pickler with our reducers.
fn cloud_pickler<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
    static PICKLER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PICKLER
        .get_or_try_init(py, || {
            Ok(py
                .import("proxystore._reducers.cloud")?
                .getattr("CloudPickler")?
                .unbind())
        })
        .map(|pickler| pickler.bind(py))
}

/// The object of a pickle frame.
pub(super) fn decode<'py>(
    py: Python<'py>,
    frame: &Frame<'_>,
    source: &Source,
) -> PyResult<Bound<'py, PyAny>> {
    loads(
        py,
        frame.stream(),
        Some((source, frame.buffer_ranges())).filter(|(_, ranges)| !ranges.is_empty()),
    )
}

/// Unpickles, with the garbage collector off.
pub(super) fn loads<'py>(
    py: Python<'py>,
    stream: &[u8],
    buffers: Option<(&Source, &[Range<usize>])>,
) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let loads = LOADS
        .get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("_pickle")?.getattr("loads")?.unbind())
        })?
        .bind(py);
    // SAFETY: the view ends with this call; `loads` copies what it keeps.
    let view = unsafe {
        let start = stream.as_ptr().cast_mut().cast();
        let view = ffi::PyMemoryView_FromMemory(start, stream.len() as isize, ffi::PyBUF_READ);
        Bound::from_owned_ptr_or_err(py, view)?
    };
    let _arenas = HugeArenas::for_objects_of(py, stream.len());
    let pause = garbage::Pause::begin(py);
    let object = match buffers {
        None => loads.call1((&view,)),
        Some((source, ranges)) => {
            let list = PyList::empty(py);
            for range in ranges {
                list.append(Bound::new(py, source.memory(py, range.clone()))?)?;
            }
            let options = PyDict::new(py);
            options.set_item(pyo3::intern!(py, "buffers"), list)?;
            loads.call((&view,), Some(&options))
        }
    };
    // An object whose own loading kept the stream's view would read freed memory later.
    view.call_method0(pyo3::intern!(py, "release")).ok();
    pause.end_after(stream.len())?;
    object.map_err(|error| failed_to_load(py, error))
}

/// The error for sound bytes that do not become an object.
pub(super) fn failed_to_load(py: Python<'_>, cause: PyErr) -> PyErr {
    if !may_try_again(py, &cause) || is_ours(py, &cause) {
        return cause;
    }
    let message = format!(
        "the object cannot be made again from its bytes: {}: {}",
        cause
            .get_type(py)
            .name()
            .map_or_else(|_| String::new(), |name| name.to_string()),
        cause.value(py)
    );
    serialization_error(py, message, cause)
}

fn is_ours(py: Python<'_>, error: &PyErr) -> bool {
    exception(py, "SerializationError").is_ok_and(|class| error.is_instance(py, &class))
}

fn exception<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("proxystore.exceptions")?.getattr(name)
}

fn serialization_error(py: Python<'_>, message: String, cause: PyErr) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let value = exception(py, "SerializationError")?.call1((message,))?;
        let error = PyErr::from_value(value);
        error.set_cause(py, Some(cause));
        Ok(error)
    };
    build().unwrap_or_else(|failure| failure)
}
