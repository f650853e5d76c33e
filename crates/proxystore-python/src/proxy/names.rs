//! Interned strings, and the objects that are found once, when the module is imported.

use pyo3::ffi::*;
use pyo3::prelude::*;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// An object that lives as long as the process, set while the module is imported.
///
/// One interpreter only, as pyo3 itself demands.
pub(super) struct Global<T = PyObject>(AtomicPtr<T>);

impl<T> Global<T> {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// A borrowed pointer; NULL before the import.
    #[inline(always)]
    pub(super) fn get(&self) -> *mut T {
        self.0.load(Relaxed)
    }

    /// Keeps `value`, whose reference it takes over.
    pub(super) fn set(&self, value: *mut T) {
        self.0.store(value, Relaxed);
    }
}

impl Global<PyObject> {
    /// The attribute of a module, looked up at the first call: the modules in question are not to
    /// be imported just because this one is. NULL with an exception set when that fails.
    pub(super) unsafe fn load_from(&self, module: &CStr, name: &CStr) -> *mut PyObject {
        if !self.get().is_null() {
            return self.get();
        }
        let module = PyImport_ImportModule(module.as_ptr());
        if module.is_null() {
            return null_mut();
        }
        let found = PyObject_GetAttrString(module, name.as_ptr());
        Py_DECREF(module);
        if !found.is_null() {
            self.set(found);
        }
        found
    }
}

/// `proxystore.proxy.Proxy`.
pub(super) static PROXY: Global<PyTypeObject> = Global::new();
/// The reducer's function, which unpickling calls.
pub(super) static TRAMPOLINE: Global = Global::new();
/// What `_PyType_Lookup(Proxy, …)` gives for these names, to see whether a subclass overrides one.
pub(super) static CLASS_DESCRIPTOR: Global = Global::new();
pub(super) static WRAPPED_DESCRIPTOR: Global = Global::new();
pub(super) static GETATTR_DESCRIPTOR: Global = Global::new();
pub(super) static GETATTRIBUTE_DESCRIPTOR: Global = Global::new();
/// `object.__class__`.
pub(super) static OBJECT_CLASS_DESCRIPTOR: Global = Global::new();

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) static $name: Global = Global::new();)*

        /// Interns the strings.
        pub(super) fn init(py: Python<'_>) -> PyResult<()> {
            $(
                // SAFETY: a literal that ends in NUL.
                let name = unsafe { PyUnicode_InternFromString(concat!($text, "\0").as_ptr().cast()) };
                if name.is_null() {
                    return Err(PyErr::fetch(py));
                }
                $name.set(name);
            )*
            Ok(())
        }
    };
}

names! {
    AENTER = "__aenter__";
    AEXIT = "__aexit__";
    ANNOTATIONS = "__annotations__";
    ARRAY = "__array__";
    ARRAY_INTERFACE = "__array_interface__";
    ARRAY_STRUCT = "__array_struct__";
    ARRAY_UFUNC = "__array_ufunc__";
    CACHE_DEFAULTS_KEYWORD = "cache_defaults";
    CALL = "__call__";
    CLASS = "__class__";
    COPY_KEYWORD = "copy";
    DELATTR = "__delattr__";
    DICT = "__dict__";
    DOC = "__doc__";
    ENTER = "__enter__";
    EXIT = "__exit__";
    FACTORY_KEYWORD = "factory";
    GETATTR = "__getattr__";
    GETATTRIBUTE = "__getattribute__";
    HASH = "__hash__";
    INIT = "__init__";
    LENGTH_HINT = "__length_hint__";
    MODULE = "__module__";
    MRO_ENTRIES = "__mro_entries__";
    NAME = "__name__";
    NEW = "__new__";
    REDUCE = "__reduce__";
    SETATTR = "__setattr__";
    TARGET_KEYWORD = "target";
    TORCH_FUNCTION = "__torch_function__";
    WEAKREF = "__weakref__";
    WRAPPED = "__proxy_wrapped__";
}
