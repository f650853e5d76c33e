//! numpy arrays of plain elements: their description, and their memory as it lies.

use super::buffer::{BlobMemory, BufferView, Source};
use super::encoded::Encoded;
use super::modules::Numpy;
use super::pickle;
use crate::error::to_python;
use proxystore::codec::ndarray::{Description, Kind};
use proxystore::frame::{Codec, Frame};
use proxystore::{Error, ErrorKind};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyTuple};
use smallvec::SmallVec;
use std::ffi::CStr;

/// Whether the object is an array itself, not of a subclass.
pub(super) fn is_array(obj: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(Numpy::if_loaded(obj.py())?.is_some_and(|numpy| obj.get_type().is(&numpy.ndarray)))
}

/// Encodes an array, or gives `None` for other objects and for elements that need pickle.
pub(super) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    if !is_array(obj)? {
        return Ok(None);
    }
    let Some((description, view)) = describe(obj)? else {
        return Ok(None);
    };
    let mut encoded = Encoded::new(Codec::Ndarray);
    encoded.copy_to_stream(&description.to_bytes());
    encoded.push_view(view);
    Ok(Some(encoded))
}

/// The description of an array (or of one of a subclass) and its memory, which is a copy only if
/// the array is not contiguous. `None` if its elements are of no plain kind.
pub(super) fn describe(array: &Bound<'_, PyAny>) -> PyResult<Option<(Description, BufferView)>> {
    const FLAGS: i32 = ffi::PyBUF_STRIDED_RO | ffi::PyBUF_FORMAT;
    let Ok(view) = BufferView::get(array, FLAGS) else {
        return describe_time(array);
    };
    let Some(mut description) = describe_view(&view) else {
        return Ok(None);
    };
    match contiguity(&view) {
        Some(fortran_order) => {
            description.fortran_order = fortran_order;
            Ok(Some((description, view)))
        }
        None => {
            let numpy = Numpy::get(array.py())?;
            let copy = numpy.ascontiguousarray.bind(array.py()).call1((array,))?;
            Ok(Some((description, BufferView::get(&copy, FLAGS)?)))
        }
    }
}

/// numpy lends no buffer of points and spans of time; their counts can be had.
fn describe_time(array: &Bound<'_, PyAny>) -> PyResult<Option<(Description, BufferView)>> {
    let py = array.py();
    let dtype = array.getattr(pyo3::intern!(py, "dtype"))?;
    let name: String = dtype.getattr(pyo3::intern!(py, "str"))?.extract()?;
    // "<M8[ns]", ">m8[25s]", "<m8"
    let (order, kind) = match name.as_bytes() {
        [order @ (b'<' | b'>'), kind @ (b'M' | b'm'), b'8', ..] => (*order, *kind),
        _ => return Ok(None),
    };
    let unit = name
        .get(3..)
        .and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'))
        .unwrap_or("");
    if !unit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let counts = if order == b'<' { "<i8" } else { ">i8" };
    let counts = array.call_method1(pyo3::intern!(py, "view"), (counts,))?;
    let Some((mut description, view)) = describe(&counts)? else {
        return Ok(None);
    };
    description.kind = Kind::from_letter(kind).unwrap_or(description.kind);
    description.unit = SmallVec::from_slice(unit.as_bytes());
    Ok(Some((description, view)))
}

fn describe_view(view: &BufferView) -> Option<Description> {
    let raw = view.raw();
    let format = if raw.format.is_null() {
        b"B"
    } else {
        // SAFETY: a format is a string that lives as long as the view.
        unsafe { CStr::from_ptr(raw.format) }.to_bytes()
    };
    let (big_endian, format) = match format {
        [b'>' | b'!', rest @ ..] => (cfg!(target_endian = "little"), rest),
        [b'<', rest @ ..] => (cfg!(target_endian = "big"), rest),
        [b'@' | b'=' | b'^', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let big_endian = big_endian ^ cfg!(target_endian = "big");
    let kind = match format {
        b"?" => Kind::Bool,
        b"b" | b"h" | b"i" | b"l" | b"q" => Kind::Int,
        b"B" | b"H" | b"I" | b"L" | b"Q" => Kind::Uint,
        b"e" | b"f" | b"d" => Kind::Float,
        b"Zf" | b"Zd" => Kind::Complex,
        [.., b's'] => Kind::Bytes,
        [.., b'w'] => Kind::Text,
        _ => return None,
    };
    let item_size = u32::try_from(raw.itemsize).ok()?;
    let dimensions = usize::try_from(raw.ndim).ok()?;
    let sound = kind.takes_size(item_size)
        && matches!(kind, Kind::Bytes | Kind::Text)
            == format.first().is_some_and(u8::is_ascii_digit);
    if !sound {
        return None;
    }
    let mut description = Description::new(kind, item_size, &[]);
    // SAFETY: asked for with strides, so a view of n dimensions has n lengths.
    description.shape = (0..dimensions)
        .map(|axis| unsafe { *raw.shape.add(axis) } as u64)
        .collect();
    description.big_endian = big_endian && item_size > 1 && kind != Kind::Bytes;
    Some(description)
}

/// `Some(false)` if the elements lie in C's order without gaps, `Some(true)` if in Fortran's only.
fn contiguity(view: &BufferView) -> Option<bool> {
    // SAFETY: a filled view.
    unsafe {
        if ffi::PyBuffer_IsContiguous(view.raw(), b'C' as _) != 0 {
            Some(false)
        } else if ffi::PyBuffer_IsContiguous(view.raw(), b'F' as _) != 0 {
            Some(true)
        } else {
            None
        }
    }
}

/// The array of a frame.
pub(super) fn decode<'py>(
    py: Python<'py>,
    frame: &Frame<'_>,
    source: &Source,
) -> PyResult<Bound<'py, PyAny>> {
    let description = Description::parse(frame.stream()).map_err(|error| to_python(py, error))?;
    let memory = source.memory(py, frame.buffer_ranges()[0].clone());
    build(py, &description, memory)
}

/// An array over some memory.
pub(super) fn build<'py>(
    py: Python<'py>,
    description: &Description,
    memory: BlobMemory,
) -> PyResult<Bound<'py, PyAny>> {
    if description.byte_len() != Some(memory.len()) {
        let error = Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: an array whose description and elements differ in length",
        );
        return Err(to_python(py, error));
    }
    let numpy = Numpy::get(py).map_err(|error| pickle::failed_to_load(py, error))?;
    let len = memory.len();
    let memory = Bound::new(py, memory)?.into_any();
    let shape = PyTuple::new(py, &description.shape)?;
    let order = if description.fortran_order {
        pyo3::intern!(py, "F")
    } else {
        pyo3::intern!(py, "C")
    };
    let dtype = dtype(py, numpy, description)?;
    let array = if len == 0 {
        numpy.empty.bind(py).call1((shape, dtype, order))
    } else {
        numpy
            .ndarray
            .bind(py)
            .call1((shape, dtype, memory, 0, py.None(), order))
    };
    array.map_err(|error| pickle::failed_to_load(py, error))
}

/// numpy's element type; the common ones are kept.
fn dtype<'py>(
    py: Python<'py>,
    numpy: &Numpy,
    description: &Description,
) -> PyResult<Bound<'py, PyAny>> {
    static KEPT: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let keep = description.unit.is_empty() && description.item_size <= 16;
    let kept = KEPT.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    let id = u32::from_le_bytes([
        description.kind as u8,
        description.big_endian.into(),
        description.item_size as u8,
        0,
    ]);
    if keep && let Some(dtype) = kept.get_item(id)? {
        return Ok(dtype);
    }
    let order = if description.big_endian { '>' } else { '<' };
    let kind = char::from(description.kind as u8);
    let size = match description.kind {
        Kind::Text => description.item_size / 4,
        _ => description.item_size,
    };
    let unit = if description.unit.is_empty() {
        String::new()
    } else {
        format!("[{}]", String::from_utf8_lossy(&description.unit))
    };
    let dtype = numpy
        .dtype
        .bind(py)
        .call1((format!("{order}{kind}{size}{unit}"),))
        .map_err(|error| pickle::failed_to_load(py, error))?;
    if keep {
        kept.set_item(id, &dtype)?;
    }
    Ok(dtype)
}

/// How an array within a pickled object is pickled: as a call of [`rebuild_array`]. `None` leaves
/// it to numpy.
pub(super) fn reduce<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = array.py();
    let Some((description, view)) = describe(array)? else {
        return Ok(None);
    };
    // SAFETY: the object of a filled view; a new reference is taken.
    let memory = unsafe { Bound::from_borrowed_ptr(py, view.raw().obj) };
    drop(view);
    // SAFETY: returns a new reference or raises.
    let memory =
        unsafe { Bound::from_owned_ptr_or_err(py, PyPickleBuffer_FromObject(memory.as_ptr()))? };
    let rebuild = rebuild_function(py)?;
    let arguments = (PyBytes::new(py, &description.to_bytes()), memory);
    Ok(Some((rebuild, arguments).into_pyobject(py)?.into_any()))
}

fn rebuild_function<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION
        .get_or_try_init(py, || {
            Ok(py
                .import("proxystore._core")?
                .getattr("rebuild_array")?
                .unbind())
        })
        .map(|function| function.bind(py))
}

unsafe extern "C" {
    fn PyPickleBuffer_FromObject(obj: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// Makes an array again from its description and its memory. Pickled objects name this function:
/// it stays where it is.
#[pyfunction]
pub(super) fn rebuild_array<'py>(
    description: &[u8],
    memory: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = memory.py();
    let description = Description::parse(description).map_err(|error| to_python(py, error))?;
    // A read-only array's memory comes wrapped in a read-only memoryview; what is under it is
    // ours, and may be writable.
    let under = match memory.cast_exact::<PyMemoryView>() {
        Ok(view) => view.getattr(pyo3::intern!(py, "obj"))?,
        Err(_) => memory.clone(),
    };
    let memory = match under.cast_exact::<BlobMemory>() {
        Ok(memory) => memory.get().share(),
        Err(_) => BlobMemory::copy_from(py, BufferView::contiguous(memory)?.bytes()),
    };
    build(py, &description, memory)
}
