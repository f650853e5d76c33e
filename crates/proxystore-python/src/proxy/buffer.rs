//! The buffer protocol: `memoryview(p)`, `file.write(p)`, `hashlib`, `np.frombuffer`.

use super::target::target;
use pyo3::ffi::*;
use std::ffi::c_int;
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
    PyObject_GetBuffer(target.get(), view, flags)
}
