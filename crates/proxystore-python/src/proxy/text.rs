//! Comparing, hashing, and what is written of a proxy: `repr`, `str`, `format`, `bytes`, `fspath`.

use super::resolution::raise_again;
use super::target::{Held, is_plain, on_targets, or_none, proxy, target};
use pyo3::ffi::*;
use std::ffi::c_int;
use std::ptr::null_mut;

pub(super) unsafe extern "C" fn compare(
    left: *mut PyObject,
    right: *mut PyObject,
    operation: c_int,
) -> *mut PyObject {
    on_targets(left, right, |left, right| {
        let kind = Py_TYPE(left);
        if kind == Py_TYPE(right)
            && is_plain(kind)
            && let Some(compare) = (*kind).tp_richcompare
        {
            // These always know, so no other is asked.
            return compare(left, right, operation);
        }
        PyObject_RichCompare(left, right, operation)
    })
}

/// The target's hash; while unresolved, the one that the proxy was told.
pub(super) unsafe extern "C" fn hash(o: *mut PyObject) -> Py_hash_t {
    let p = proxy(o);
    if (*p).target.is_null() && !(*p).default_hash.is_null() && (*p).invalid.is_null() {
        return told_hash((*p).default_hash, (*p).default_class);
    }
    let Some(target) = target(o) else { return -1 };
    match (*target.kind()).tp_hash {
        Some(hash) => hash(target.get()),
        None => PyObject_Hash(target.get()),
    }
}

unsafe fn told_hash(told: *mut PyObject, class: *mut PyObject) -> Py_hash_t {
    if is_unhashable(told, class) {
        if let Some(error) = Held::owned(unhashable(class)) {
            PyErr_SetObject(PyExc_TypeError, error.get());
        }
        return -1;
    }
    if PyLong_Check(told) == 0 {
        raise_again(told);
        return -1;
    }
    let hash = PyLong_AsSsize_t(told);
    if hash == -1 && PyErr_Occurred().is_null() {
        return -2; // as CPython does: -1 means an error
    }
    hash
}

/// Whether what a proxy was told as its hash stands for [`unhashable`].
pub(super) unsafe fn is_unhashable(told: *mut PyObject, class: *mut PyObject) -> bool {
    told == Py_False() && !class.is_null() && PyType_Check(class) != 0
}

/// `TypeError("unhashable type: 'list'")`, as CPython says it; NULL with an exception set when it
/// cannot be made.
pub(super) unsafe fn unhashable(class: *mut PyObject) -> *mut PyObject {
    let Some(message) = Held::owned(PyUnicode_FromFormat(
        c"unhashable type: '%.200s'".as_ptr(),
        (*class.cast::<PyTypeObject>()).tp_name,
    )) else {
        return null_mut();
    };
    PyObject_CallOneArg(PyExc_TypeError, message.get())
}

/// Whether an exception is the one that [`unhashable`] would make. Leaves no exception set.
pub(super) unsafe fn says_unhashable(exception: *mut PyObject, class: *mut PyObject) -> bool {
    if class.is_null()
        || PyType_Check(class) == 0
        || Py_TYPE(exception).cast::<PyObject>() != PyExc_TypeError
    {
        return false;
    }
    let same = match (
        Held::owned(PyObject_Str(exception)),
        Held::owned(unhashable(class)),
    ) {
        (Some(said), Some(usual)) => {
            let usual = Held::owned(PyObject_Str(usual.get()));
            usual.is_some_and(|usual| PyUnicode_Compare(said.get(), usual.get()) == 0)
        }
        _ => false,
    };
    PyErr_Clear();
    same
}

/// Says what the proxy is, and never resolves it.
pub(super) unsafe extern "C" fn repr(o: *mut PyObject) -> *mut PyObject {
    let Some(factory) = Held::owned(or_none((*proxy(o)).factory)) else {
        return null_mut();
    };
    let name = (*Py_TYPE(o).cast::<PyHeapTypeObject>()).ht_name;
    let held = (*proxy(o)).target;
    if held.is_null() {
        return PyUnicode_FromFormat(
            c"<%U at %p with factory %R>".as_ptr(),
            name,
            o,
            factory.get(),
        );
    }
    let target = Held::borrowed(held);
    PyUnicode_FromFormat(
        c"<%U at %p wrapping %R at %p with factory %R>".as_ptr(),
        name,
        o,
        target.get(),
        target.get(),
        factory.get(),
    )
}

pub(super) unsafe extern "C" fn str(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    if PyUnicode_CheckExact(target.get()) != 0 {
        return target.into_ptr();
    }
    PyObject_Str(target.get())
}

pub(super) unsafe extern "C" fn method_format(
    o: *mut PyObject,
    specification: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_Format(target.get(), specification)
}

pub(super) unsafe extern "C" fn method_bytes(o: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_CallOneArg((&raw mut PyBytes_Type).cast(), target.get())
}

/// A string is its own path, which is why `os.fspath` asks no string for this method.
pub(super) unsafe extern "C" fn method_fspath(o: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyOS_FSPath(target.get())
}
