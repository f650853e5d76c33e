//! `await`, `async for`, and what an event loop does with a coroutine.

use super::names::Global;
use super::target::{Held, target};
use pyo3::ffi::*;
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

/// What a generator made by `types.coroutine` carries in its code's flags.
const CO_ITERABLE_COROUTINE: std::ffi::c_long = 0x100;

static AWAIT_GENERATOR: Global = Global::new();

unsafe fn asynchronous_slots(target: &Held) -> Option<&PyAsyncMethods> {
    (*target.kind()).tp_as_async.as_ref()
}

unsafe fn type_error(sentence: &CStr, target: &Held) -> *mut PyObject {
    PyErr_Format(PyExc_TypeError, sentence.as_ptr(), (*target.kind()).tp_name);
    null_mut()
}

pub(super) unsafe extern "C" fn am_await(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    if let Some(iterator) = asynchronous_slots(&target).and_then(|slots| slots.am_await) {
        return iterator(target.get());
    }
    match is_generator_coroutine(target.get()) {
        -1 => null_mut(),
        0 => type_error(
            c"object %.100s can't be used in 'await' expression",
            &target,
        ),
        _ => {
            let through = AWAIT_GENERATOR.load_from(c"proxystore.proxy", c"_await_generator");
            if through.is_null() {
                return null_mut();
            }
            PyObject_CallOneArg(through, target.get())
        }
    }
}

unsafe fn is_generator_coroutine(o: *mut PyObject) -> c_int {
    if PyGen_CheckExact(o) == 0 {
        return 0;
    }
    let Some(code) = Held::owned(PyObject_GetAttrString(o, c"gi_code".as_ptr())) else {
        return -1;
    };
    let Some(flags) = Held::owned(PyObject_GetAttrString(code.get(), c"co_flags".as_ptr())) else {
        return -1;
    };
    let flags = PyLong_AsLong(flags.get());
    (flags & CO_ITERABLE_COROUTINE != 0).into()
}

pub(super) unsafe extern "C" fn am_aiter(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match asynchronous_slots(&target).and_then(|slots| slots.am_aiter) {
        Some(iterator) => iterator(target.get()),
        None => type_error(
            c"'async for' requires an object with __aiter__ method, got %.100s",
            &target,
        ),
    }
}

pub(super) unsafe extern "C" fn am_anext(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match asynchronous_slots(&target).and_then(|slots| slots.am_anext) {
        Some(next) => next(target.get()),
        None => type_error(c"'%.200s' object is not an async iterator", &target),
    }
}

/// What a task calls instead of a coroutine's `send` method.
pub(super) unsafe extern "C" fn am_send(
    o: *mut PyObject,
    argument: *mut PyObject,
    result: *mut *mut PyObject,
) -> PySendResult {
    let Some(target) = target(o) else {
        *result = null_mut();
        return PySendResult::PYGEN_ERROR;
    };
    PyIter_Send(target.get(), argument, result)
}
