//! The table that binds the functions to the slots, and the making of the type.

use super::attributes::*;
use super::names::*;
use super::object::ProxyObject;
use super::target::_PyType_Lookup;
use super::{
    asynchronous, buffer, call, classes, containers, lookup, numbers, numpy, object, pickling, text,
};
use pyo3::ffi::*;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyString, PyType};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut};

const DOC_TEXT: &CStr = c"Proxy(factory, *, cache_defaults=False, target=None)\n--\n\n\
Lazy, transparent stand-in for the object that the factory makes.\n\n\
The factory is called at the first use, once, whatever the number of threads;\n\
from then on every operation is the target's own. Pickling takes the factory\n\
along and never the target.\n\n\
Args:\n    \
factory: Callable without arguments that returns the target.\n    \
cache_defaults: Keep the class and the hash of `target`, so that `isinstance`\n        \
and `hash` need not resolve the proxy; they travel with it.\n    \
target: The target, where it is at hand: the proxy is resolved from the start.\n\n\
Raises:\n    \
TypeError: The factory is not callable.\n\n\
Example:\n    \
>>> from proxystore.proxy import Proxy\n    \
>>> p = Proxy(lambda: [1, 2, 3])\n    \
>>> len(p), p[0], isinstance(p, list), type(p) is Proxy\n    \
(3, 1, True, True)\n";

macro_rules! method {
    ($name:literal no_arguments $function:path) => {
        method!(@ $name, METH_NOARGS, PyMethodDefPointer { PyCFunction: $function })
    };
    ($name:literal one $function:path) => {
        method!(@ $name, METH_O, PyMethodDefPointer { PyCFunction: $function })
    };
    ($name:literal class_one $function:path) => {
        method!(@ $name, METH_O | METH_CLASS, PyMethodDefPointer { PyCFunction: $function })
    };
    ($name:literal vector $function:path) => {
        method!(@ $name, METH_FASTCALL, PyMethodDefPointer { PyCFunctionFast: $function })
    };
    ($name:literal keywords $function:path) => {
        method!(@ $name, METH_FASTCALL | METH_KEYWORDS,
            PyMethodDefPointer { PyCFunctionFastWithKeywords: $function })
    };
    ($name:literal class_keywords $function:path) => {
        method!(@ $name, METH_FASTCALL | METH_KEYWORDS | METH_CLASS,
            PyMethodDefPointer { PyCFunctionFastWithKeywords: $function })
    };
    (@ $name:literal, $flags:expr, $pointer:expr) => {
        PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: $pointer,
            ml_flags: $flags,
            ml_doc: null(),
        }
    };
}

/// The tables that CPython keeps pointers into.
fn leak<T>(table: Vec<T>) -> *mut T {
    Box::leak(table.into_boxed_slice()).as_mut_ptr()
}

fn methods() -> *mut PyMethodDef {
    leak(vec![
        method!(c"__getattr__" one method_getattr),
        method!(c"__dir__" no_arguments method_dir),
        method!(c"__bytes__" no_arguments text::method_bytes),
        method!(c"__format__" one text::method_format),
        method!(c"__fspath__" no_arguments text::method_fspath),
        method!(c"__length_hint__" no_arguments containers::method_length_hint),
        method!(c"__reversed__" no_arguments containers::method_reversed),
        method!(c"__complex__" no_arguments numbers::method_complex),
        method!(c"__round__" keywords numbers::method_round),
        method!(c"__trunc__" keywords numbers::method_trunc),
        method!(c"__floor__" keywords numbers::method_floor),
        method!(c"__ceil__" keywords numbers::method_ceil),
        method!(c"__enter__" keywords call::method_enter),
        method!(c"__exit__" keywords call::method_exit),
        method!(c"__aenter__" keywords call::method_aenter),
        method!(c"__aexit__" keywords call::method_aexit),
        method!(c"__instancecheck__" one classes::method_instancecheck),
        method!(c"__subclasscheck__" one classes::method_subclasscheck),
        method!(c"__mro_entries__" one classes::method_mro_entries),
        method!(c"__class_getitem__" class_one classes::method_class_getitem),
        method!(c"__init_subclass__" class_keywords classes::method_init_subclass),
        method!(c"__reduce__" no_arguments pickling::method_reduce),
        method!(c"__reduce_ex__" one pickling::method_reduce_ex),
        method!(c"__array_ufunc__" keywords numpy::method_array_ufunc),
        method!(c"__array_function__" keywords numpy::method_array_function),
        method!(c"__torch_function__" class_keywords numpy::method_torch_function),
        PyMethodDef::zeroed(),
    ])
}

fn properties() -> *mut PyGetSetDef {
    let property = |name: &'static CStr, get: getter, set: Option<setter>| PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: null(),
        closure: null_mut(),
    };
    leak(vec![
        property(c"__class__", classes::get_class, Some(classes::set_class)),
        property(c"__name__", get_name, Some(set_name)),
        property(c"__proxy_wrapped__", get_wrapped, Some(set_wrapped)),
        property(c"__proxy_target__", get_target, Some(set_wrapped)),
        property(c"__proxy_resolved__", get_resolved, None),
        property(c"__proxy_factory__", get_factory, Some(set_factory)),
        property(
            c"__proxy_default_class__",
            get_default_class,
            Some(set_default_class),
        ),
        property(
            c"__proxy_default_hash__",
            get_default_hash,
            Some(set_default_hash),
        ),
        property(c"__proxy_invalid__", get_invalid, Some(set_invalid)),
        property(c"__array__", numpy::get_array, None),
        property(c"__array_interface__", numpy::get_array_interface, None),
        property(c"__array_struct__", numpy::get_array_struct, None),
        PyGetSetDef::default(),
    ])
}

fn members() -> *mut PyMemberDef {
    let offset = |name: &'static CStr, offset: usize| PyMemberDef {
        name: name.as_ptr(),
        type_code: Py_T_PYSSIZET,
        offset: offset as Py_ssize_t,
        flags: Py_READONLY,
        doc: null(),
    };
    leak(vec![
        offset(c"__vectorcalloffset__", offset_of!(ProxyObject, vectorcall)),
        offset(
            c"__weaklistoffset__",
            offset_of!(ProxyObject, weak_references),
        ),
        PyMemberDef::default(),
    ])
}

fn slots() -> *mut PyType_Slot {
    let mut slots = Vec::new();
    macro_rules! slot {
        ($($slot:ident $function:expr;)*) => {$(
            slots.push(PyType_Slot { slot: $slot, pfunc: $function as *mut c_void });
        )*};
    }
    slot! {
        Py_tp_doc DOC_TEXT.as_ptr();
        Py_tp_methods methods();
        Py_tp_getset properties();
        Py_tp_members members();

        Py_tp_new object::new;
        Py_tp_init object::tp_init;
        Py_tp_dealloc object::dealloc;
        Py_tp_traverse object::traverse;
        Py_tp_clear object::clear;

        Py_tp_getattro getattro;
        Py_tp_call PyVectorcall_Call;
        Py_tp_hash text::hash;
        Py_tp_repr text::repr;
        Py_tp_str text::str;
        Py_tp_richcompare text::compare;
        Py_tp_iter containers::iter;
        Py_tp_iternext containers::next;

        Py_nb_add numbers::add;
        Py_nb_subtract numbers::subtract;
        Py_nb_multiply numbers::multiply;
        Py_nb_matrix_multiply numbers::matrix_multiply;
        Py_nb_true_divide numbers::true_divide;
        Py_nb_floor_divide numbers::floor_divide;
        Py_nb_remainder numbers::remainder;
        Py_nb_divmod numbers::divmod;
        Py_nb_power numbers::power;
        Py_nb_lshift numbers::left_shift;
        Py_nb_rshift numbers::right_shift;
        Py_nb_and numbers::and;
        Py_nb_xor numbers::xor;
        Py_nb_or numbers::or;
        Py_nb_inplace_add numbers::in_place_add;
        Py_nb_inplace_subtract numbers::in_place_subtract;
        Py_nb_inplace_multiply numbers::in_place_multiply;
        Py_nb_inplace_matrix_multiply numbers::in_place_matrix_multiply;
        Py_nb_inplace_true_divide numbers::in_place_true_divide;
        Py_nb_inplace_floor_divide numbers::in_place_floor_divide;
        Py_nb_inplace_remainder numbers::in_place_remainder;
        Py_nb_inplace_power numbers::in_place_power;
        Py_nb_inplace_lshift numbers::in_place_left_shift;
        Py_nb_inplace_rshift numbers::in_place_right_shift;
        Py_nb_inplace_and numbers::in_place_and;
        Py_nb_inplace_xor numbers::in_place_xor;
        Py_nb_inplace_or numbers::in_place_or;
        Py_nb_negative numbers::negative;
        Py_nb_positive numbers::positive;
        Py_nb_absolute numbers::absolute;
        Py_nb_invert numbers::invert;
        Py_nb_int numbers::int;
        Py_nb_float numbers::float;
        Py_nb_index numbers::index;
        Py_nb_bool numbers::bool;

        Py_sq_concat containers::concatenate;
        Py_sq_length containers::length;
        Py_sq_item containers::item;
        Py_sq_contains containers::contains;
        Py_mp_length containers::length;
        Py_mp_subscript containers::subscript;
        Py_mp_ass_subscript containers::assign_subscript;

        Py_am_await asynchronous::am_await;
        Py_am_aiter asynchronous::am_aiter;
        Py_am_anext asynchronous::am_anext;
        Py_am_send asynchronous::am_send;

        Py_bf_getbuffer buffer::get_buffer;
    }
    slots.push(PyType_Slot {
        slot: 0,
        pfunc: null_mut(),
    });
    leak(slots)
}

/// Makes the type, and finds what the slots compare with.
pub(super) fn make_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL;
    let mut spec = PyType_Spec {
        name: c"proxystore.proxy.Proxy".as_ptr(),
        basicsize: size_of::<ProxyObject>() as c_int,
        itemsize: 0,
        flags: flags as _,
        slots: slots(),
    };
    // SAFETY: the tables live for ever and end as CPython demands; each function has the signature
    // of its slot.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(py, PyType_FromSpec(&raw mut spec))?;
        let kind: *mut PyTypeObject = made.as_ptr().cast();
        PROXY.set(made.clone().into_ptr().cast());
        (*kind).tp_vectorcall = Some(object::type_vectorcall);
        install_setattr(py, kind)?;
        CLASS_DESCRIPTOR.set(_PyType_Lookup(kind, CLASS.get()));
        WRAPPED_DESCRIPTOR.set(_PyType_Lookup(kind, WRAPPED.get()));
        GETATTR_DESCRIPTOR.set(_PyType_Lookup(kind, GETATTR.get()));
        GETATTRIBUTE_DESCRIPTOR.set(_PyType_Lookup(kind, GETATTRIBUTE.get()));
        let object = &raw mut PyBaseObject_Type;
        OBJECT_CLASS_DESCRIPTOR.set(_PyType_Lookup(object, CLASS.get()));
        lookup::remember_proxy();
        let made = made.cast_into::<PyType>()?;
        FORWARDED_METHODS.set(forwarded_methods(&made)?.into_ptr());
        Ok(made)
    }
}

/// As attributes of the finished type, so that CPython puts its own function into the slot: see
/// `method_setattr`.
unsafe fn install_setattr(py: Python<'_>, kind: *mut PyTypeObject) -> PyResult<()> {
    let table = leak(vec![
        method!(c"__setattr__" vector method_setattr),
        method!(c"__delattr__" one method_delattr),
    ]);
    for (i, name) in [&SETATTR, &DELATTR].into_iter().enumerate() {
        let method = Bound::from_owned_ptr_or_err(py, PyDescr_NewMethod(kind, table.add(i)))?;
        if PyObject_SetAttr(kind.cast(), name.get(), method.as_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(())
}

/// The special methods that a proxy answers for itself, whatever its target has.
const OWN_METHODS: [&str; 12] = [
    "__delattr__",
    "__getattr__",
    "__getattribute__",
    "__mro_entries__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__torch_function__",
    "__class__",
    "__name__",
];

/// All the others: those of `object` and those that exist for the slots' sake.
fn forwarded_methods<'py>(kind: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyFrozenSet>> {
    let py = kind.py();
    let mut names = Vec::new();
    for class in [kind.clone(), py.get_type::<PyAny>()] {
        for name in class.getattr("__dict__")?.try_iter()? {
            let name = name?.cast_into::<PyString>()?;
            let text = name.to_str()?;
            let own = OWN_METHODS.contains(&text)
                || text.starts_with("__proxy_")
                || ["__array__", "__array_interface__", "__array_struct__"].contains(&text);
            if !own {
                names.push(name);
            }
        }
    }
    PyFrozenSet::new(py, names)
}
