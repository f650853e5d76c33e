//! Calls, and the two context manager protocols.

use super::names::{AENTER, AEXIT, ENTER, EXIT};
use super::target::{_PyType_Lookup, Held, target};
use pyo3::ffi::*;
use std::ffi::CStr;
use std::ptr::null_mut;

pub(super) unsafe extern "C" fn proxy_vectorcall(
    o: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    // Our caller checks the result, as `PyObject_Vectorcall` would once more.
    match vectorcall_of(&target) {
        Some(call) => call(target.get(), args, nargsf, keyword_names),
        None => PyObject_Vectorcall(target.get(), args, nargsf, keyword_names),
    }
}

/// The function that an object names for its calls.
#[inline(always)]
unsafe fn vectorcall_of(callable: &Held) -> Option<vectorcallfunc> {
    let kind = callable.kind();
    if PyType_HasFeature(kind, Py_TPFLAGS_HAVE_VECTORCALL) == 0 {
        return None;
    }
    let offset = (*kind).tp_vectorcall_offset as usize;
    *callable
        .get()
        .byte_add(offset)
        .cast::<Option<vectorcallfunc>>()
}

/// A special method, found as CPython finds one: on the type, past the instance. None without an
/// exception where there is none, with one where binding it fails.
pub(super) unsafe fn special_method(o: *mut PyObject, name: *mut PyObject) -> Option<Held> {
    let kind = Py_TYPE(o);
    let found = _PyType_Lookup(kind, name);
    if found.is_null() {
        return None;
    }
    match (*Py_TYPE(found)).tp_descr_get {
        Some(bind) => Held::owned(bind(found, o, kind.cast())),
        None => Some(Held::borrowed(found)),
    }
}

/// The two sentences of CPython for an object that is no context manager.
struct Protocol {
    enter: &'static super::names::Global,
    exit: &'static super::names::Global,
    missing_enter: &'static CStr,
    missing_exit: &'static CStr,
}

static CONTEXT: Protocol = Protocol {
    enter: &ENTER,
    exit: &EXIT,
    missing_enter: c"'%.200s' object does not support the context manager protocol",
    missing_exit:
        c"'%.200s' object does not support the context manager protocol (missed __exit__ method)",
};

static ASYNCHRONOUS_CONTEXT: Protocol = Protocol {
    enter: &AENTER,
    exit: &AEXIT,
    missing_enter: c"'%.200s' object does not support the asynchronous context manager protocol",
    missing_exit: c"'%.200s' object does not support the asynchronous context manager protocol (missed __aexit__ method)",
};

impl Protocol {
    unsafe fn call_enter(
        &self,
        o: *mut PyObject,
        args: *const *mut PyObject,
        count: Py_ssize_t,
        keywords: *mut PyObject,
    ) -> *mut PyObject {
        let Some(target) = target(o) else {
            return null_mut();
        };
        let Some(enter) = special_method(target.get(), self.enter.get()) else {
            return Self::missing(target.get(), self.enter, self.missing_enter);
        };
        // The `with` statement looks both up before it calls the first.
        if _PyType_Lookup(target.kind(), self.exit.get()).is_null() {
            return Self::missing(target.get(), self.exit, self.missing_exit);
        }
        PyObject_Vectorcall(enter.get(), args, count as usize, keywords)
    }

    unsafe fn call_exit(
        &self,
        o: *mut PyObject,
        args: *const *mut PyObject,
        count: Py_ssize_t,
        keywords: *mut PyObject,
    ) -> *mut PyObject {
        let Some(target) = target(o) else {
            return null_mut();
        };
        let Some(exit) = special_method(target.get(), self.exit.get()) else {
            return Self::missing(target.get(), self.exit, self.missing_exit);
        };
        PyObject_Vectorcall(exit.get(), args, count as usize, keywords)
    }

    #[cold]
    unsafe fn missing(
        target: *mut PyObject,
        name: &super::names::Global,
        sentence: &CStr,
    ) -> *mut PyObject {
        if !PyErr_Occurred().is_null() {
            return null_mut();
        }
        if cfg!(Py_3_11) {
            PyErr_Format(
                PyExc_TypeError,
                sentence.as_ptr(),
                (*Py_TYPE(target)).tp_name,
            );
        } else {
            PyErr_SetObject(PyExc_AttributeError, name.get());
        }
        null_mut()
    }
}

macro_rules! forwarded_context {
    ($($function:ident $protocol:ident $part:ident;)*) => {$(
        pub(super) unsafe extern "C" fn $function(
            o: *mut PyObject,
            args: *const *mut PyObject,
            count: Py_ssize_t,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            $protocol.$part(o, args, count, keywords)
        }
    )*};
}

forwarded_context! {
    method_enter CONTEXT call_enter;
    method_exit CONTEXT call_exit;
    method_aenter ASYNCHRONOUS_CONTEXT call_enter;
    method_aexit ASYNCHRONOUS_CONTEXT call_exit;
}
