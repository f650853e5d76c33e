//! The factory travels, with the class and the hash that the proxy answers for; never the target.

use super::attributes::get_factory;
use super::names::{PROXY, REDUCE, TRAMPOLINE};
use super::object::make;
use super::resolution::raise_again;
use super::target::{new_reference, or_none, proxy};
use crate::factory;
use pyo3::ffi::*;
use pyo3::prelude::*;
use std::ptr::{null, null_mut};

/// `(trampoline, (factory, default_class, default_hash))`
pub(super) unsafe extern "C" fn method_reduce(o: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let p = proxy(o);
    if !(*p).invalid.is_null() {
        raise_again((*p).invalid);
        return null_mut();
    }
    let factory = get_factory(o, null_mut());
    if factory.is_null() {
        return null_mut();
    }
    let args = PyTuple_New(3);
    if args.is_null() {
        Py_DECREF(factory);
        return null_mut();
    }
    PyTuple_SET_ITEM(args, 0, factory);
    PyTuple_SET_ITEM(args, 1, or_none((*p).default_class));
    PyTuple_SET_ITEM(args, 2, or_none((*p).default_hash));
    let reduced = PyTuple_New(2);
    if reduced.is_null() {
        Py_DECREF(args);
        return null_mut();
    }
    PyTuple_SET_ITEM(reduced, 0, new_reference(TRAMPOLINE.get()));
    PyTuple_SET_ITEM(reduced, 1, args);
    reduced
}

/// What pickling asks for. Every protocol gives the same, and a subclass' `__reduce__` is heard.
pub(super) unsafe extern "C" fn method_reduce_ex(
    o: *mut PyObject,
    _protocol: *mut PyObject,
) -> *mut PyObject {
    if Py_TYPE(o) == PROXY.get() {
        let p = proxy(o);
        if (*p).invalid.is_null() && !(*p).factory.is_null() {
            let class = or_none((*p).default_class);
            let hash = or_none((*p).default_hash);
            match of_store(new_reference((*p).factory), class, hash) {
                Ok(Some(reduced)) => return reduced,
                Ok(None) => {}
                Err(error) => {
                    error.restore(Python::assume_attached());
                    return null_mut();
                }
            }
        }
        return method_reduce(o, null_mut());
    }
    let reduce = PyObject_GenericGetAttr(o, REDUCE.get());
    if reduce.is_null() {
        return null_mut();
    }
    let reduced = PyObject_CallNoArgs(reduce);
    Py_DECREF(reduce);
    reduced
}

/// The form of a store's proxy, whose factory and proxy one function makes: what a pickle costs is
/// above all its globals. Takes the references over.
unsafe fn of_store(
    factory: *mut PyObject,
    class: *mut PyObject,
    hash: *mut PyObject,
) -> PyResult<Option<*mut PyObject>> {
    let py = Python::assume_attached();
    let factory = Bound::from_owned_ptr(py, factory);
    let told = [
        Bound::from_owned_ptr(py, class),
        Bound::from_owned_ptr(py, hash),
    ];
    Ok(factory::reduce_proxy(&factory, told)?.map(Bound::into_ptr))
}

/// What unpickling calls.
unsafe extern "C" fn trampoline(
    _module: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    if !(1..=3).contains(&count) {
        PyErr_Format(
            PyExc_TypeError,
            c"_proxy_trampoline() takes from 1 to 3 arguments but %zd were given".as_ptr(),
            count,
        );
        return null_mut();
    }
    let optional = |i: isize| {
        if i < count && *args.offset(i) != Py_None() {
            new_reference(*args.offset(i))
        } else {
            null_mut()
        }
    };
    make(*args, optional(1), optional(2), null_mut())
}

/// The function under the name that pickles hold: `proxystore.proxy._proxy_trampoline`, which is
/// also what ProxyStore 1.x wrote.
pub(super) fn make_trampoline(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let definition = Box::leak(Box::new(PyMethodDef {
        ml_name: c"_proxy_trampoline".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFast: trampoline,
        },
        ml_flags: METH_FASTCALL,
        ml_doc: null(),
    }));
    let module = pyo3::types::PyString::new(py, "proxystore.proxy");
    // SAFETY: the definition lives for ever, as the function may.
    let function = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            PyCFunction_NewEx(definition, null_mut(), module.as_ptr()),
        )?
    };
    TRAMPOLINE.set(function.clone().into_ptr());
    Ok(function)
}
