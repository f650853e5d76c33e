//! What is read from the proxy, and what from the target.
//!
//! A name belongs to the target unless the proxy's class has it; the exceptions go both ways.
//! `__doc__` and its like exist on every class and are the target's nevertheless. The special
//! methods exist on the class because CPython's slots need them there, for every target alike; read
//! from an instance they are the target's too, so that `hasattr(p, '__len__')` tells the truth.

use super::classes::get_class;
use super::lookup::{is_no_name_of_ours, is_our_class};
use super::names::*;
use super::object::equal;
use super::resolution::resolve_here;
use super::target::{
    _PyType_Lookup, Held, new_reference, or_none, proxy, refresh_fast, set_target, target,
};
use super::text::{is_unhashable, unhashable};
use pyo3::ffi::*;
use std::ffi::{c_int, c_void};
use std::ptr::{null_mut, replace};

unsafe extern "C" {
    /// `PyObject_GenericGetAttr` that may return NULL without raising (`suppress`). Exported by
    /// 3.10 to 3.13; the public function costs a raised and cleared AttributeError.
    fn _PyObject_GenericGetAttrWithDict(
        o: *mut PyObject,
        name: *mut PyObject,
        dict: *mut PyObject,
        suppress: c_int,
    ) -> *mut PyObject;
}

/// A frozenset: the special methods that, read from an instance, are the target's.
pub(super) static FORWARDED_METHODS: Global = Global::new();

/// What exists on every class, and is the target's all the same.
#[inline]
unsafe fn is_forwarded_name(name: *mut PyObject) -> bool {
    let names = [&MODULE, &DOC, &DICT, &WEAKREF, &ANNOTATIONS];
    names.iter().any(|n| n.get() == name) || names.iter().any(|n| equal(n.get(), name))
}

/// Whether `found`, which the lookup of `name` in the proxy's class gave, merely stands there for
/// CPython's slots.
unsafe fn is_forwarded_method(o: *mut PyObject, found: *mut PyObject, name: *mut PyObject) -> bool {
    if found != _PyType_Lookup(PROXY.get(), name)
        || PySet_Contains(FORWARDED_METHODS.get(), name) != 1
    {
        return false;
    }
    let p = proxy(o);
    if equal(name, HASH.get()) {
        return (*p).default_hash.is_null() || !(*p).target.is_null();
    }
    if equal(name, INIT.get()) || equal(name, NEW.get()) {
        // A bare proxy has yet to be initialised.
        return !(*p).factory.is_null() || !(*p).target.is_null();
    }
    true
}

#[inline(always)]
pub(super) unsafe fn forward_get(o: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_GetAttr(target.get(), name)
}

pub(super) unsafe extern "C" fn getattro(o: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    let kind = Py_TYPE(o);
    if is_our_class(kind) {
        if is_no_name_of_ours(name) {
            return forward_get(o, name);
        }
        if name == CLASS.get() {
            return get_class(o, null_mut());
        }
    }
    let found = _PyType_Lookup(kind, name);
    if found.is_null() {
        return if kind == PROXY.get() {
            forward_get(o, name)
        } else {
            get_from_subclass(o, kind, name)
        };
    }
    if found == CLASS_DESCRIPTOR.get() {
        return get_class(o, null_mut());
    }
    if is_forwarded_name(name) || is_forwarded_method(o, found, name) {
        return forward_get(o, name);
    }
    if equal(name, TORCH_FUNCTION.get()) {
        // torch asks the instance, and takes whoever has it for a tensor.
        let Some(target) = target(o) else {
            return null_mut();
        };
        if _PyType_Lookup(target.kind(), name).is_null() {
            return PyObject_GetAttr(target.get(), name);
        }
    }
    PyObject_GenericGetAttr(o, name)
}

/// The class has no such name: the instance's dict may, or a Python `__getattr__` comes next.
unsafe fn get_from_subclass(
    o: *mut PyObject,
    kind: *mut PyTypeObject,
    name: *mut PyObject,
) -> *mut PyObject {
    if (*kind).tp_dictoffset != 0 {
        let found = _PyObject_GenericGetAttrWithDict(o, name, null_mut(), 1);
        if !found.is_null() || !PyErr_Occurred().is_null() {
            return found;
        }
    }
    let hooked = (*kind).tp_getattro.map(|f| f as usize) != Some(getattro as *const () as usize);
    if hooked && _PyType_Lookup(kind, GETATTR.get()) != GETATTR_DESCRIPTOR.get() {
        PyErr_SetObject(PyExc_AttributeError, name); // the hook then calls the override
        return null_mut();
    }
    forward_get(o, name)
}

/// `__getattr__`, for subclasses that call `super().__getattr__(name)`.
pub(super) unsafe extern "C" fn method_getattr(
    o: *mut PyObject,
    name: *mut PyObject,
) -> *mut PyObject {
    forward_get(o, name)
}

/// Sets an attribute, or deletes it where `value` is NULL.
#[inline]
unsafe fn set_or_delete(o: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int {
    let kind = Py_TYPE(o);
    if !(is_our_class(kind) && is_no_name_of_ours(name)) {
        let found = _PyType_Lookup(kind, name);
        if !found.is_null() && !is_forwarded_name(name) && !is_forwarded_method(o, found, name) {
            return PyObject_GenericSetAttr(o, name, value);
        }
    }
    let Some(target) = target(o) else { return -1 };
    PyObject_SetAttr(target.get(), name, value)
}

unsafe fn none_unless(failed: c_int) -> *mut PyObject {
    if failed < 0 {
        null_mut()
    } else {
        new_reference(Py_None())
    }
}

/// `__setattr__` as a method and not as a slot: CPython refuses `object.__setattr__(p, …)` for
/// types with a native `tp_setattro`, and subclasses use it.
pub(super) unsafe extern "C" fn method_setattr(
    o: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    if count != 2 {
        PyErr_Format(
            PyExc_TypeError,
            c"expected 2 arguments, got %zd".as_ptr(),
            count,
        );
        return null_mut();
    }
    if PyUnicode_Check(*args) == 0 {
        PyErr_Format(
            PyExc_TypeError,
            c"attribute name must be string, not '%.200s'".as_ptr(),
            (*Py_TYPE(*args)).tp_name,
        );
        return null_mut();
    }
    none_unless(set_or_delete(o, *args, *args.add(1)))
}

pub(super) unsafe extern "C" fn method_delattr(
    o: *mut PyObject,
    name: *mut PyObject,
) -> *mut PyObject {
    if PyUnicode_Check(name) == 0 {
        PyErr_Format(
            PyExc_TypeError,
            c"attribute name must be string, not '%.200s'".as_ptr(),
            (*Py_TYPE(name)).tp_name,
        );
        return null_mut();
    }
    none_unless(set_or_delete(o, name, null_mut()))
}

pub(super) unsafe extern "C" fn method_dir(o: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_Dir(target.get())
}

/// `__name__` is in the class' dict because a class attribute of that name has always been there.
pub(super) unsafe extern "C" fn get_name(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    forward_get(o, NAME.get())
}

pub(super) unsafe extern "C" fn set_name(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let Some(target) = target(o) else { return -1 };
    PyObject_SetAttr(target.get(), NAME.get(), value)
}

/// `__proxy_wrapped__`: the target, resolved if need be.
pub(super) unsafe extern "C" fn get_wrapped(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    resolve_here(o)
}

pub(super) unsafe extern "C" fn set_wrapped(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    if value.is_null() && (*proxy(o)).target.is_null() {
        return no_attribute(c"__proxy_target__".as_ptr());
    }
    set_target(
        o,
        if value.is_null() {
            value
        } else {
            new_reference(value)
        },
    );
    0
}

unsafe fn no_attribute(name: *const std::ffi::c_char) -> c_int {
    PyErr_Format(
        PyExc_AttributeError,
        c"'Proxy' object has no attribute '%s'".as_ptr(),
        name,
    );
    -1
}

/// `__proxy_target__`: the target, never resolved.
pub(super) unsafe extern "C" fn get_target(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let held = (*proxy(o)).target;
    if held.is_null() {
        no_attribute(c"__proxy_target__".as_ptr());
        return null_mut();
    }
    new_reference(held)
}

pub(super) unsafe extern "C" fn get_resolved(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    PyBool_FromLong((!(*proxy(o)).target.is_null()).into())
}

pub(super) unsafe extern "C" fn get_factory(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let factory = (*proxy(o)).factory;
    if factory.is_null() {
        no_attribute(c"__proxy_factory__".as_ptr());
        return null_mut();
    }
    new_reference(factory)
}

/// Replaces a field by a value of the caller's, or empties it.
unsafe fn set_field(field: *mut *mut PyObject, value: *mut PyObject) -> c_int {
    let value = if value.is_null() {
        value
    } else {
        new_reference(value)
    };
    Py_XDECREF(replace(field, value));
    0
}

pub(super) unsafe extern "C" fn set_factory(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    set_field(&raw mut (*proxy(o)).factory, value)
}

pub(super) unsafe extern "C" fn get_default_class(
    o: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    or_none((*proxy(o)).default_class)
}

pub(super) unsafe extern "C" fn set_default_class(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let value = if value == Py_None() {
        null_mut()
    } else {
        value
    };
    set_field(&raw mut (*proxy(o)).default_class, value)
}

pub(super) unsafe extern "C" fn get_default_hash(
    o: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    let p = proxy(o);
    if is_unhashable((*p).default_hash, (*p).default_class) {
        return unhashable((*p).default_class);
    }
    or_none((*p).default_hash)
}

pub(super) unsafe extern "C" fn set_default_hash(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let value = if value == Py_None() {
        null_mut()
    } else {
        value
    };
    set_field(&raw mut (*proxy(o)).default_hash, value)
}

/// `__proxy_invalid__`: None, or the exception that every use raises. A layer above that moves
/// the ownership of a target sets it, at no cost for the proxies in use.
pub(super) unsafe extern "C" fn get_invalid(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    or_none((*proxy(o)).invalid)
}

pub(super) unsafe extern "C" fn set_invalid(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let value = if value == Py_None() {
        null_mut()
    } else {
        value
    };
    if !value.is_null() && PyExceptionInstance_Check(value) == 0 {
        PyErr_SetString(
            PyExc_TypeError,
            c"__proxy_invalid__ must be an exception or None".as_ptr(),
        );
        return -1;
    }
    let old = Held::owned(replace(
        &raw mut (*proxy(o)).invalid,
        if value.is_null() {
            value
        } else {
            new_reference(value)
        },
    ));
    refresh_fast(o);
    drop(old);
    0
}
