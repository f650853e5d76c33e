//! The buffer protocol: `memoryview(p)`, `file.write(p)`, `hashlib`, `np.frombuffer`.

use super::target::{Held, target};
use pyo3::ffi::*;
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

/// numpy's two scalars of time export eight bytes without a meaning, which `np.asarray(p)` would
/// take before it asks for anything better. (Arrays of them export nothing.)
unsafe fn is_numpy_time(target: &Held) -> bool {
    let name = CStr::from_ptr((*target.kind()).tp_name);
    name == c"numpy.datetime64" || name == c"numpy.timedelta64"
}

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
    if is_numpy_time(&target) {
        if !view.is_null() {
            (*view).obj = null_mut();
        }
        PyErr_SetString(
            PyExc_BufferError,
            c"a proxy does not export the memory of a datetime64 or timedelta64".as_ptr(),
        );
        return -1;
    }
    PyObject_GetBuffer(target.get(), view, flags)
}
