//! The proxy where a class is asked for or asked about: `isinstance` both ways, `class C(p)`,
//! subclasses of the proxy type itself.

use super::attributes::getattro;
use super::lookup::tells_its_type;
use super::names::*;
use super::object::show_memory;
use super::target::{_PyType_Lookup, new_reference, proxy, target};
use pyo3::ffi::*;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// `__class__`: the target's; while unresolved, the one that the proxy was told.
pub(super) unsafe extern "C" fn get_class(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let p = proxy(o);
    let held = (*p).fast;
    if !held.is_null() && tells_its_type(Py_TYPE(held)) {
        show_memory(o, held);
        return new_reference(Py_TYPE(held).cast()); // what the attribute read would come to
    }
    if (*p).target.is_null() && !(*p).default_class.is_null() && (*p).invalid.is_null() {
        return new_reference((*p).default_class);
    }
    let Some(target) = target(o) else {
        return null_mut();
    };
    let class = PyObject_GetAttr(target.get(), CLASS.get());
    show_memory(o, target.get()); // once it shows its own, should it be a proxy
    class
}

pub(super) unsafe extern "C" fn set_class(
    o: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let Some(target) = target(o) else { return -1 };
    PyObject_SetAttr(target.get(), CLASS.get(), value)
}

/// `isinstance(x, p)`
pub(super) unsafe extern "C" fn method_instancecheck(
    o: *mut PyObject,
    instance: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match PyObject_IsInstance(instance, target.get()) {
        -1 => null_mut(),
        answer => PyBool_FromLong(answer.into()),
    }
}

/// `issubclass(C, p)`
pub(super) unsafe extern "C" fn method_subclasscheck(
    o: *mut PyObject,
    class: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    match PyObject_IsSubclass(class, target.get()) {
        -1 => null_mut(),
        answer => PyBool_FromLong(answer.into()),
    }
}

/// `class C(p)`: the class statement takes the target in the proxy's place.
pub(super) unsafe extern "C" fn method_mro_entries(
    o: *mut PyObject,
    bases: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    if PyType_Check(target.get()) != 0 {
        return PyTuple_Pack(1, target.get());
    }
    let entries = PyObject_CallMethodObjArgs(
        target.get(),
        MRO_ENTRIES.get(),
        bases,
        null_mut::<PyObject>(),
    );
    if entries.is_null() && PyErr_ExceptionMatches(PyExc_AttributeError) != 0 {
        PyErr_Clear();
        return PyTuple_Pack(1, target.get()); // the class statement says what is wrong with it
    }
    entries
}

/// `Proxy[T]`
pub(super) unsafe extern "C" fn method_class_getitem(
    kind: *mut PyObject,
    item: *mut PyObject,
) -> *mut PyObject {
    Py_GenericAlias(kind, item)
}

/// A subclass gets CPython's slow attribute hook, because `__getattr__` is in our class' dict. Put
/// the fast slot back where the subclass overrides neither `__getattr__` nor `__getattribute__`;
/// assigning one later makes CPython install its hook again.
pub(super) unsafe extern "C" fn method_init_subclass(
    kind: *mut PyObject,
    _args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    if count != 0 || (!keywords.is_null() && PyTuple_GET_SIZE(keywords) != 0) {
        PyErr_Format(
            PyExc_TypeError,
            c"%U.__init_subclass__() takes no keyword arguments".as_ptr(),
            (*kind.cast::<PyHeapTypeObject>()).ht_name,
        );
        return null_mut();
    }
    let kind: *mut PyTypeObject = kind.cast();
    if _PyType_Lookup(kind, GETATTR.get()) == GETATTR_DESCRIPTOR.get()
        && _PyType_Lookup(kind, GETATTRIBUTE.get()) == GETATTRIBUTE_DESCRIPTOR.get()
    {
        (*kind).tp_getattro = Some(getattro);
    }
    new_reference(Py_None())
}
