//! Arrays of Python objects that are all leaves (text columns, most often): packed as MessagePack,
//! where pickle would ask for the memory of each.

use super::arenas::HugeArenas;
use super::buffer::{BlobMemory, BufferView};
use super::tree;
use proxystore::Blob;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The elements of a contiguous array of objects as they lie. `None` if they are more than leaves.
#[pyfunction]
pub(super) fn pack_objects(array: &Bound<'_, PyAny>) -> PyResult<Option<BlobMemory>> {
    let py = array.py();
    let view = objects_of(array, ffi::PyBUF_ND)?;
    // SAFETY: a view of an array of objects, which keeps its elements in place.
    let packed = unsafe { tree::encode_leaves(py, view.start().cast(), view.len() / WIDTH)? };
    Ok(packed.map(|packed| BlobMemory::read_only(Blob::from(packed))))
}

/// Fills a contiguous array of objects with what [`pack_objects`] made.
#[pyfunction]
pub(super) fn unpack_objects(packed: &Bound<'_, PyAny>, array: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = array.py();
    let packed = BufferView::contiguous(packed)?;
    let view = objects_of(array, ffi::PyBUF_ND | ffi::PyBUF_WRITABLE)?;
    let _arenas = HugeArenas::for_objects_of(py, packed.len());
    let start: *mut *mut ffi::PyObject = view.start().cast_mut().cast();
    tree::decode_leaves(py, packed.bytes(), view.len() / WIDTH, |index, leaf| {
        // SAFETY: one of the array's elements, which own what they point to; numpy takes null for
        // `None`.
        unsafe {
            let old = start.add(index).replace(leaf.into_ptr());
            ffi::Py_XDECREF(old);
        }
    })
}

const WIDTH: usize = size_of::<*mut ffi::PyObject>();

fn objects_of(array: &Bound<'_, PyAny>, flags: i32) -> PyResult<BufferView> {
    let view = BufferView::get(array, flags | ffi::PyBUF_ANY_CONTIGUOUS | ffi::PyBUF_FORMAT)?;
    let format = view.raw().format;
    // SAFETY: a format is a string that lives as long as the view.
    let is_object = !format.is_null() && unsafe { std::ffi::CStr::from_ptr(format) } == c"O";
    if is_object && view.raw().itemsize == WIDTH as isize && view.len() > 0 {
        Ok(view)
    } else {
        Err(PyTypeError::new_err("not a contiguous array of objects"))
    }
}
