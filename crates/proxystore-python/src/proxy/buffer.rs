//! The buffer protocol: `memoryview(p)`, `file.write(p)`, `hashlib`, `np.frombuffer`.

use super::names::ARRAY_INTERFACE;
use super::target::{_PyType_Lookup, Held, target};
use pyo3::ffi::*;
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

/// The target fills the view and becomes its owner, so the release goes to the target by itself
/// and the proxy may meanwhile change or die.
pub(super) unsafe extern "C" fn get_buffer(
    o: *mut PyObject,
    view: *mut Py_buffer,
    flags: c_int,
) -> c_int {
    let Some(target) = target(o) else {
        if !view.is_null() {
            (*view).obj = null_mut();
        }
        return -1;
    };
    let failed = PyObject_GetBuffer(target.get(), view, flags);
    if failed == 0 && flags & PyBUF_FORMAT != 0 && format_lies(&target, view) {
        PyBuffer_Release(view);
        PyErr_SetString(
            PyExc_BufferError,
            c"the buffer's format does not say what numpy's dtype does; extract the target first"
                .as_ptr(),
        );
        return -1;
    }
    failed
}

/// Whether the format of a buffer says less than the dtype of the numpy object that exports it: a
/// time is eight bytes, a record loses its padding. `np.asarray(p)` asks for a buffer with its
/// format before it asks for anything better, and would take that for the truth.
unsafe fn format_lies(target: &Held, view: *const Py_buffer) -> bool {
    if (*view).format.is_null() || _PyType_Lookup(target.kind(), ARRAY_INTERFACE.get()).is_null() {
        return false;
    }
    let name = CStr::from_ptr((*target.kind()).tp_name);
    let is_time = name == c"numpy.datetime64" || name == c"numpy.timedelta64";
    let format = CStr::from_ptr((*view).format).to_bytes();
    is_time
        || format
            .iter()
            .any(|&letter| letter == b'T' || letter == b'x')
}
