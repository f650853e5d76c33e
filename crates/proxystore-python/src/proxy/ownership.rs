//! Who borrows from whom: the base of `proxystore.store.ref`'s owners and borrows, which are proxies
//! with a few fields more. The rules that raise errors are in Python; what happens at each borrow
//! and at each return is here.

use super::names::{Global, PROXY};
use super::object::{self, ProxyObject};
use super::target::{Held, new_reference, or_none};
use crate::factory::PyStoreFactory;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::*;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut, replace};

/// An owner or a borrow.
#[repr(C)]
struct ReferenceObject {
    proxy: ProxyObject,
    /// Of a borrow: the owner, until the borrow is given back; NULL if it is in another process.
    owner: *mut PyObject,
    /// Of an owner: the very store, if it is known, since it may not be registered; or NULL.
    store: *mut PyObject,
    /// Of an owner: its borrows, by kind.
    readers: Py_ssize_t,
    writers: Py_ssize_t,
    /// Of an owner: the process that it belongs to. A borrow has 0.
    process: c_uint,
    /// Of a borrow: whether it is one of the owner's writers.
    writes: bool,
    /// Of an owner: the collector came to it before its borrows, and the last of them evicts.
    evicts_last: bool,
}

static REFERENCE: Global<PyTypeObject> = Global::new();
/// `proxystore.store.ref._evict` and `_forget_target`.
static EVICT: Global = Global::new();
static FORGET_TARGET: Global = Global::new();

#[inline(always)]
fn reference(o: *mut PyObject) -> *mut ReferenceObject {
    o.cast()
}

unsafe fn is_reference(o: *mut PyObject) -> bool {
    PyType_IsSubtype(Py_TYPE(o), REFERENCE.get()) != 0
}

/// Lets go of the owner; again, it does no harm. -1 with an exception set if Python's part failed.
unsafe fn give_back(o: *mut PyObject) -> c_int {
    let borrow = reference(o);
    let Some(owner) = Held::owned(replace(&raw mut (*borrow).owner, null_mut())) else {
        return 0;
    };
    let lender = reference(owner.get());
    if (*borrow).writes {
        (*lender).writers -= 1;
        // It moved to another process, which may have updated the object.
        let moved = !(*borrow).proxy.invalid.is_null();
        if moved && !(*lender).proxy.target.is_null() && tell(&FORGET_TARGET, &owner) < 0 {
            return -1;
        }
    } else {
        (*lender).readers -= 1;
    }
    if (*lender).evicts_last && (*lender).readers == 0 && (*lender).writers == 0 {
        (*lender).evicts_last = false;
        return tell(&EVICT, &owner);
    }
    0
}

/// Finds Python's part before the first borrow is noted: when the last one is given back, nothing
/// may be left to import it with.
fn find_pythons_part(py: Python<'_>) -> PyResult<()> {
    let module = c"proxystore.store.ref";
    // SAFETY: two names that end in NUL; the results are borrowed, or NULL with an exception set.
    unsafe {
        if EVICT.load_from(module, c"_evict").is_null()
            || FORGET_TARGET.load_from(module, c"_forget_target").is_null()
        {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(())
}

#[cold]
unsafe fn tell(function: &Global, owner: &Held) -> c_int {
    match Held::owned(PyObject_CallOneArg(function.get(), owner.get())) {
        Some(_) => 0,
        None => -1,
    }
}

unsafe extern "C" fn finalize(o: *mut PyObject) {
    if (*reference(o)).owner.is_null() {
        return;
    }
    let py = Python::assume_attached();
    let raised = PyErr::take(py); // a finalizer leaves it as it is
    if give_back(o) < 0 {
        PyErr_WriteUnraisable(o);
    }
    if let Some(raised) = raised {
        raised.restore(py);
    }
}

unsafe extern "C" fn traverse(o: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    for field in [(*reference(o)).owner, (*reference(o)).store] {
        if !field.is_null() {
            let stop = visit(field, arg);
            if stop != 0 {
                return stop;
            }
        }
    }
    object::traverse(o, visit, arg)
}

unsafe extern "C" fn clear(o: *mut PyObject) -> c_int {
    finalize(o);
    Py_XDECREF(replace(&raw mut (*reference(o)).store, null_mut()));
    object::clear(o)
}

unsafe extern "C" fn dealloc(o: *mut PyObject) {
    PyObject_GC_UnTrack(o.cast());
    finalize(o); // unless a subclass' `__del__` came in between, it has been
    Py_XDECREF(replace(&raw mut (*reference(o)).store, null_mut()));
    object::dealloc(o);
}

unsafe extern "C" fn get_owner(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    or_none((*reference(o)).owner)
}

unsafe extern "C" fn get_store(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    or_none((*reference(o)).store)
}

unsafe extern "C" fn set_store(o: *mut PyObject, store: *mut PyObject, _: *mut c_void) -> c_int {
    let none = store.is_null() || store == Py_None();
    let store = if none {
        null_mut()
    } else {
        new_reference(store)
    };
    Py_XDECREF(replace(&raw mut (*reference(o)).store, store));
    0
}

/// Makes the type, a subclass of `Proxy`.
pub(super) fn make_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let member = |name: &'static CStr, type_code, offset: usize, flags| PyMemberDef {
        name: name.as_ptr(),
        type_code,
        offset: offset as Py_ssize_t,
        flags,
        doc: null(),
    };
    macro_rules! field {
        ($field:ident) => {
            offset_of!(ReferenceObject, $field)
        };
    }
    let members = Box::leak(Box::new([
        member(
            c"__proxy_readers__",
            Py_T_PYSSIZET,
            field!(readers),
            Py_READONLY,
        ),
        member(
            c"__proxy_writers__",
            Py_T_PYSSIZET,
            field!(writers),
            Py_READONLY,
        ),
        member(c"__proxy_process__", Py_T_UINT, field!(process), 0),
        member(c"__proxy_evicts_last__", Py_T_BOOL, field!(evicts_last), 0),
        PyMemberDef::default(),
    ]));
    let property = |name: &'static CStr, get: getter, set| PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: null(),
        closure: null_mut(),
    };
    let properties = Box::leak(Box::new([
        property(c"__proxy_owner__", get_owner, None),
        property(c"__proxy_store__", get_store, Some(set_store)),
        PyGetSetDef::default(),
    ]));
    let slot = |slot, pfunc| PyType_Slot { slot, pfunc };
    let slots = Box::leak(Box::new([
        slot(Py_tp_members, members.as_mut_ptr().cast()),
        slot(Py_tp_getset, properties.as_mut_ptr().cast()),
        slot(Py_tp_finalize, finalize as *mut c_void),
        slot(Py_tp_traverse, traverse as *mut c_void),
        slot(Py_tp_clear, clear as *mut c_void),
        slot(Py_tp_dealloc, dealloc as *mut c_void),
        slot(0, null_mut()),
    ]));
    let flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC;
    let mut spec = PyType_Spec {
        name: c"proxystore._core.ReferenceBase".as_ptr(),
        basicsize: size_of::<ReferenceObject>() as c_int,
        itemsize: 0,
        flags: flags as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the tables live for ever and end as CPython demands; each function has the signature
    // of its slot, and the fields are those of the members' types.
    unsafe {
        let made = PyType_FromSpecWithBases(&raw mut spec, PROXY.get().cast());
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        REFERENCE.set(made.clone().into_ptr().cast());
        Ok(made.cast_into::<PyType>()?)
    }
}

fn check(fits: bool) -> PyResult<()> {
    if fits {
        return Ok(());
    }
    Err(PyTypeError::new_err(
        "expected a kind of reference and a proxy, and of a borrow the owner",
    ))
}

/// A new owner, by a store's factory, that answers as a proxy does: by its class and hash, and its
/// target where that is wanted and there. Its `__init__` is not called.
#[pyfunction]
#[pyo3(name = "_own", signature = (kind, factory, source, populate_target, /))]
pub(super) fn own<'py>(
    kind: &Bound<'py, PyType>,
    factory: Bound<'py, PyStoreFactory>,
    source: &Bound<'py, PyAny>,
    populate_target: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, kind, source) = (kind.py(), kind.as_type_ptr(), source.as_ptr());
    // SAFETY: the pointers are live for the call. The types are looked at before they are used as
    // those of proxies, and the result is a new reference or NULL with an exception set.
    unsafe {
        check(
            PyType_IsSubtype(kind, REFERENCE.get()) != 0
                && PyType_IsSubtype(Py_TYPE(source), PROXY.get()) != 0,
        )?;
        let made = object::alike(kind, factory.into_ptr(), source, populate_target);
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        (*reference(made.as_ptr())).process = std::process::id();
        Ok(made)
    }
}

/// A new borrow that answers as its owner does, and is noted by it. None where the rules forbid it:
/// no owner, one that has moved or that no store made, or borrows that exclude this one.
#[pyfunction]
#[pyo3(name = "_borrow", signature = (kind, owner, writes, populate_target, /))]
pub(super) fn borrow<'py>(
    kind: &Bound<'py, PyType>,
    owner: &Bound<'py, PyAny>,
    writes: bool,
    populate_target: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, kind, lender) = (kind.py(), kind.as_type_ptr(), owner.as_ptr());
    // SAFETY: as in `own`.
    unsafe {
        check(PyType_IsSubtype(kind, REFERENCE.get()) != 0)?;
        find_pythons_part(py)?;
        let lends = is_reference(lender)
            && (*reference(lender)).process != 0
            && (*reference(lender)).proxy.invalid.is_null()
            && is_of_store(py, (*reference(lender)).proxy.factory);
        if !lends {
            return Ok(None);
        }
        let factory = new_reference((*reference(lender)).proxy.factory);
        let made = object::alike(kind, factory, lender, populate_target);
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        // Making it may have run the collector, and so anything: nothing is called from here on.
        let excluded = (*reference(lender)).writers != 0
            || writes && (*reference(lender)).readers != 0
            || !(*reference(lender)).proxy.invalid.is_null();
        if excluded {
            return Ok(None);
        }
        note(made.as_ptr(), lender, writes);
        Ok(Some(made))
    }
}

unsafe fn is_of_store(py: Python<'_>, factory: *mut PyObject) -> bool {
    !factory.is_null() && Borrowed::from_ptr(py, factory).is_instance_of::<PyStoreFactory>()
}

unsafe fn note(borrow: *mut PyObject, owner: *mut PyObject, writes: bool) {
    (*reference(borrow)).owner = new_reference(owner);
    (*reference(borrow)).writes = writes;
    let lender = reference(owner);
    *(if writes {
        &raw mut (*lender).writers
    } else {
        &raw mut (*lender).readers
    }) += 1;
}

/// Notes a borrow that was made by its `__init__`.
#[pyfunction]
#[pyo3(name = "_note_borrow", signature = (borrow, owner, writes, /))]
pub(super) fn note_borrow(
    borrow: &Bound<'_, PyAny>,
    owner: &Bound<'_, PyAny>,
    writes: bool,
) -> PyResult<()> {
    // SAFETY: as in `own`.
    unsafe {
        check(is_reference(borrow.as_ptr()) && is_reference(owner.as_ptr()))?;
        find_pythons_part(borrow.py())?;
        finalize(borrow.as_ptr());
        note(borrow.as_ptr(), owner.as_ptr(), writes);
    }
    Ok(())
}

/// Lets a borrow go of its owner; again, it does no harm.
#[pyfunction]
#[pyo3(name = "_give_back", signature = (borrow, /))]
pub(super) fn give_back_borrow(borrow: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: as in `own`.
    unsafe {
        check(is_reference(borrow.as_ptr()))?;
        if give_back(borrow.as_ptr()) < 0 {
            return Err(PyErr::fetch(borrow.py()));
        }
    }
    Ok(())
}
