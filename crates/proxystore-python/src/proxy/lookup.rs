//! What classes say of a name, at the price of a compare: the answers of `_PyType_Lookup` that the
//! hot paths need, remembered together with the version of the class.
//!
//! CPython takes a class' version away whenever one of its attributes, or of a base's, is set, and
//! gives it a number never used before when it is asked for a name again.

use super::names::{CLASS, OBJECT_CLASS_DESCRIPTOR, PROXY};
use super::target::{_PyType_Lookup, Held};
use pyo3::ffi::*;
use std::ffi::c_uint;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

/// No class has this version; a class that is to be asked anew has it.
const NO_VERSION: c_uint = 0;

/// The version of `Proxy` as this module made it.
static PROXY_VERSION: AtomicU32 = AtomicU32::new(NO_VERSION);

/// Remembers the class as it is now; some name must have been looked up in it since it was changed.
pub(super) unsafe fn remember_proxy() {
    PROXY_VERSION.store((*PROXY.get()).tp_version_tag, Relaxed);
}

/// Whether the class is `Proxy`, with the attributes that this module gave it and no others.
#[inline(always)]
pub(super) unsafe fn is_our_class(kind: *mut PyTypeObject) -> bool {
    let version = (*kind).tp_version_tag;
    kind == PROXY.get() && version == PROXY_VERSION.load(Relaxed) && version != NO_VERSION
}

/// Whether a name is none of `Proxy`'s and `object`'s, for those begin with an underscore. False
/// also for what is rare: text beyond ASCII, subclasses of `str`.
#[inline(always)]
pub(super) unsafe fn is_no_name_of_ours(name: *mut PyObject) -> bool {
    PyUnicode_CheckExact(name) != 0
        && PyUnicode_IS_COMPACT_ASCII(name) != 0
        && *name.cast::<PyASCIIObject>().add(1).cast::<u8>() != b'_'
}

/// A class whose instances answer `__class__` with their type, and its version.
struct Plain {
    kind: AtomicPtr<PyTypeObject>,
    version: AtomicU32,
}

/// The classes last seen, by a few bits of their addresses.
static PLAIN: [Plain; 16] = [const {
    Plain {
        kind: AtomicPtr::new(null_mut()),
        version: AtomicU32::new(NO_VERSION),
    }
}; 16];

/// Whether reading `__class__` from an instance comes to its type.
#[inline(always)]
pub(super) unsafe fn tells_its_type(kind: *mut PyTypeObject) -> bool {
    // Classes lie some hundred bytes apart.
    let seen = &PLAIN[(kind as usize >> 8) % PLAIN.len()];
    let version = (*kind).tp_version_tag;
    if seen.kind.load(Relaxed) == kind
        && seen.version.load(Relaxed) == version
        && version != NO_VERSION
    {
        return true;
    }
    look_up_class(kind, seen)
}

#[cold]
#[inline(never)]
unsafe fn look_up_class(kind: *mut PyTypeObject, seen: &Plain) -> bool {
    let _held = Held::borrowed(kind.cast());
    let plain = (*kind).tp_getattro.map(|f| f as usize)
        == Some(PyObject_GenericGetAttr as *const () as usize)
        && _PyType_Lookup(kind, CLASS.get()) == OBJECT_CLASS_DESCRIPTOR.get();
    if plain {
        seen.version.store((*kind).tp_version_tag, Relaxed);
        seen.kind.store(kind, Relaxed);
    }
    plain
}
