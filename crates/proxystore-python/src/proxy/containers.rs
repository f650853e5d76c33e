//! Containers and iterators. Where the target has the very slot that CPython's function would
//! call first, it is called at once.

use super::call::special_method;
use super::names::LENGTH_HINT;
use super::target::{Held, new_reference, operand, target};
use pyo3::ffi::*;
use std::ffi::c_int;
use std::ptr::null_mut;

pub(super) unsafe extern "C" fn length(o: *mut PyObject) -> Py_ssize_t {
    let Some(target) = target(o) else { return -1 };
    match (*target.kind()).tp_as_sequence.as_ref() {
        Some(&PySequenceMethods {
            sq_length: Some(length),
            ..
        }) => length(target.get()),
        _ => PyObject_Size(target.get()),
    }
}

/// `p[key]`
pub(super) unsafe extern "C" fn subscript(o: *mut PyObject, key: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match (*target.kind()).tp_as_mapping.as_ref() {
        Some(&PyMappingMethods {
            mp_subscript: Some(subscript),
            ..
        }) => subscript(target.get(), key),
        _ => PyObject_GetItem(target.get(), key),
    }
}

/// `p[key] = value`, and `del p[key]` where `value` is NULL.
pub(super) unsafe extern "C" fn assign_subscript(
    o: *mut PyObject,
    key: *mut PyObject,
    value: *mut PyObject,
) -> c_int {
    let Some(target) = target(o) else { return -1 };
    match (*target.kind()).tp_as_mapping.as_ref() {
        Some(&PyMappingMethods {
            mp_ass_subscript: Some(assign),
            ..
        }) => assign(target.get(), key, value),
        _ if value.is_null() => PyObject_DelItem(target.get(), key),
        _ => PyObject_SetItem(target.get(), key, value),
    }
}

/// What C code calls that takes the proxy for a sequence; the caller has made a negative index
/// positive already, so the target's slot must not do so once more.
pub(super) unsafe extern "C" fn item(o: *mut PyObject, index: Py_ssize_t) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    let sequence = (*target.kind()).tp_as_sequence;
    if !sequence.is_null()
        && let Some(get) = (*sequence).sq_item
    {
        return get(target.get(), index);
    }
    let Some(key) = Held::owned(PyLong_FromSsize_t(index)) else {
        return null_mut();
    };
    PyObject_GetItem(target.get(), key.get())
}

pub(super) unsafe extern "C" fn contains(o: *mut PyObject, value: *mut PyObject) -> c_int {
    let Some(target) = target(o) else { return -1 };
    match (*target.kind()).tp_as_sequence.as_ref() {
        Some(&PySequenceMethods {
            sq_contains: Some(contains),
            ..
        }) => contains(target.get(), value),
        _ => PySequence_Contains(target.get(), value),
    }
}

pub(super) unsafe extern "C" fn iter(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_GetIter(target.get())
}

pub(super) unsafe extern "C" fn next(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match (*target.kind()).tp_iternext {
        Some(next) if PyIter_Check(target.get()) != 0 => next(target.get()),
        _ => {
            PyErr_Format(
                PyExc_TypeError,
                c"'%.200s' object is not an iterator".as_ptr(),
                (*target.kind()).tp_name,
            );
            null_mut()
        }
    }
}

pub(super) unsafe extern "C" fn method_reversed(
    o: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_CallOneArg((&raw mut PyReversed_Type).cast(), target.get())
}

/// `operator.concat`; `p + q` comes to `numbers::add`.
pub(super) unsafe extern "C" fn concatenate(
    left: *mut PyObject,
    right: *mut PyObject,
) -> *mut PyObject {
    let Some(left) = target(left) else {
        return null_mut();
    };
    let Some(right) = operand(right) else {
        return null_mut();
    };
    PySequence_Concat(left.get(), right.get())
}

/// Asked for where the target has no length.
pub(super) unsafe extern "C" fn method_length_hint(
    o: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match special_method(target.get(), LENGTH_HINT.get()) {
        Some(hint) => PyObject_CallNoArgs(hint.get()),
        None if PyErr_Occurred().is_null() => new_reference(Py_NotImplemented()),
        None => null_mut(),
    }
}
