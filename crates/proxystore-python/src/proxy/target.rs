//! How every slot gets at the target, and how the target changes.

use super::names::{PROXY, WRAPPED, WRAPPED_DESCRIPTOR};
use super::object::ProxyObject;
use super::resolution;
use pyo3::ffi::*;
use std::ptr::null_mut;

unsafe extern "C" {
    /// The attribute of a type, found along its MRO: a borrowed reference, or NULL without an
    /// exception. Exported by 3.10 to 3.13; nothing public does this without raising.
    pub(super) fn _PyType_Lookup(tp: *mut PyTypeObject, name: *mut PyObject) -> *mut PyObject;
}

/// A strong reference, given back when it goes out of scope.
#[repr(transparent)]
pub(super) struct Held(*mut PyObject);

impl Held {
    /// Takes over a reference; NULL (with an exception set) gives None.
    #[inline(always)]
    pub(super) unsafe fn owned(o: *mut PyObject) -> Option<Self> {
        if o.is_null() { None } else { Some(Self(o)) }
    }

    /// Makes a reference of its own.
    #[inline(always)]
    pub(super) unsafe fn borrowed(o: *mut PyObject) -> Self {
        Self(new_reference(o))
    }

    #[inline(always)]
    pub(super) fn get(&self) -> *mut PyObject {
        self.0
    }

    /// The type, which no `__class__` can belie.
    #[inline(always)]
    pub(super) unsafe fn kind(&self) -> *mut PyTypeObject {
        Py_TYPE(self.0)
    }

    /// Gives the reference away.
    #[inline(always)]
    pub(super) fn into_ptr(self) -> *mut PyObject {
        let o = self.0;
        std::mem::forget(self);
        o
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: we own the reference, and the interpreter lock is held (see `mod.rs`).
        unsafe { Py_DECREF(self.0) }
    }
}

#[inline(always)]
pub(super) unsafe fn new_reference(o: *mut PyObject) -> *mut PyObject {
    Py_INCREF(o);
    o
}

/// A new reference to the object, or to None where there is none.
#[inline]
pub(super) unsafe fn or_none(o: *mut PyObject) -> *mut PyObject {
    new_reference(if o.is_null() { Py_None() } else { o })
}

/// The fields of a proxy.
#[inline(always)]
pub(super) fn proxy(o: *mut PyObject) -> *mut ProxyObject {
    o.cast()
}

#[inline(always)]
pub(super) unsafe fn is_proxy(o: *mut PyObject) -> bool {
    let kind = Py_TYPE(o);
    if kind == PROXY.get() {
        return true;
    }
    // The types of numbers, strings, lists and arrays are static: no proxies.
    PyType_HasFeature(kind, Py_TPFLAGS_HEAPTYPE) != 0 && PyType_IsSubtype(kind, PROXY.get()) != 0
}

/// The target of a proxy, resolved if need be; None with an exception set.
///
/// The reference is strong: what the caller does with the target may drop or change the proxy's.
#[inline(always)]
pub(super) unsafe fn target(o: *mut PyObject) -> Option<Held> {
    let held = (*proxy(o)).fast;
    if !held.is_null() {
        return Some(Held::borrowed(held));
    }
    Held::owned(resolution::resolve(o))
}

/// The target of an operand that is a proxy; any other operand as it is.
#[inline(always)]
pub(super) unsafe fn operand(o: *mut PyObject) -> Option<Held> {
    if is_proxy(o) {
        target(o)
    } else {
        Some(Held::borrowed(o))
    }
}

/// Runs a binary operation on the targets; operands that are no proxies pass as they are, held by
/// the caller.
#[inline(always)]
pub(super) unsafe fn on_targets(
    left: *mut PyObject,
    right: *mut PyObject,
    operation: impl Fn(*mut PyObject, *mut PyObject) -> *mut PyObject,
) -> *mut PyObject {
    if !is_proxy(right) {
        let Some(left) = target(left) else {
            return null_mut();
        };
        return operation(left.get(), right);
    }
    if !is_proxy(left) {
        let Some(right) = target(right) else {
            return null_mut();
        };
        return operation(left, right.get());
    }
    let Some(left) = target(left) else {
        return null_mut();
    };
    let Some(right) = target(right) else {
        return null_mut();
    };
    operation(left.get(), right.get())
}

/// Whether a class is `int` or `float` itself.
#[inline(always)]
pub(super) fn is_number(kind: *mut PyTypeObject) -> bool {
    kind == &raw mut PyLong_Type || kind == &raw mut PyFloat_Type
}

/// Whether a class is `int`, `float` or `str` itself.
#[inline(always)]
pub(super) fn is_plain(kind: *mut PyTypeObject) -> bool {
    is_number(kind) || kind == &raw mut PyUnicode_Type
}

/// Whether a subclass has a `__proxy_wrapped__` of its own, which must be asked each time.
pub(super) unsafe fn overrides_wrapped(kind: *mut PyTypeObject) -> bool {
    kind != PROXY.get() && _PyType_Lookup(kind, WRAPPED.get()) != WRAPPED_DESCRIPTOR.get()
}

/// Replaces the target by `new`, whose reference it takes over; NULL makes the proxy unresolved.
pub(super) unsafe fn set_target(o: *mut PyObject, new: *mut PyObject) {
    let old = std::ptr::replace(&raw mut (*proxy(o)).target, new);
    refresh_fast(o);
    Py_XDECREF(old);
}

/// Sets what the slots read: the target, unless a use must go the long way.
pub(super) unsafe fn refresh_fast(o: *mut PyObject) {
    let p = proxy(o);
    let long_way = !(*p).invalid.is_null() || overrides_wrapped(Py_TYPE(o));
    (*p).fast = if long_way { null_mut() } else { (*p).target };
}

/// Stores the result of an in-place operator in the proxy and returns the proxy: `p += 1` leaves
/// `p` a proxy. Takes over `result`.
pub(super) unsafe fn rebind(o: *mut PyObject, result: *mut PyObject) -> *mut PyObject {
    if result.is_null() {
        return null_mut();
    }
    if overrides_wrapped(Py_TYPE(o)) {
        let failed = PyObject_GenericSetAttr(o, WRAPPED.get(), result) < 0;
        Py_DECREF(result);
        if failed {
            return null_mut();
        }
    } else {
        set_target(o, result);
    }
    new_reference(o)
}
