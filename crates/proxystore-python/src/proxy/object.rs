//! The memory of a proxy: made, initialised, traversed, cleared, freed.

use super::call::proxy_vectorcall;
use super::names::{CACHE_DEFAULTS_KEYWORD, CLASS, FACTORY_KEYWORD, PROXY, TARGET_KEYWORD};
use super::resolution::{Owner, take_exception};
use super::target::{new_reference, proxy, refresh_fast, set_target};
use super::text::says_unhashable;
use pyo3::ffi::*;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{null_mut, replace};

/// What lies behind a proxy's pointer. Every pointer but `fast` is NULL or an owned reference.
#[repr(C)]
pub(super) struct ProxyObject {
    ob_base: PyObject,
    /// What [`show_memory`] shows of the target.
    shown: [usize; SHOWN],
    /// What the slots read: an alias of `target`, or NULL where a use must go the long way
    /// (unresolved, invalid, or the class overrides `__proxy_wrapped__`).
    pub(super) fast: *mut PyObject,
    pub(super) target: *mut PyObject,
    pub(super) factory: *mut PyObject,
    /// The class answered while unresolved.
    pub(super) default_class: *mut PyObject,
    /// The hash answered while unresolved: an int, the exception that hashing raises, or False
    /// for CPython's own "unhashable type" of the class, which travels so.
    pub(super) default_hash: *mut PyObject,
    /// The exception that every use raises, for proxies whose ownership has moved on.
    pub(super) invalid: *mut PyObject,
    pub(super) vectorcall: vectorcallfunc,
    pub(super) weak_references: *mut PyObject,
    /// Who runs the factory.
    pub(super) owner: Owner,
}

/// Words behind the header of an object: where torch has a tensor's pointer to its data.
const SHOWN: usize = 2;

/// Shows the front of a target's memory in the proxy's own.
///
/// Whoever is told the target's class may take that for a promise about the memory behind the
/// pointer: torch's C++ code, and every extension that takes tensors from Python, asks `isinstance`
/// and then reads the pointer to the data in the words behind the header. They only look at it
/// while they have the proxy, which holds the target; whoever asks again finds it as it is then.
#[inline(always)]
pub(super) unsafe fn show_memory(o: *mut PyObject, target: *mut PyObject) {
    if (*Py_TYPE(target)).tp_basicsize as usize
        >= size_of::<PyObject>() + size_of::<[usize; SHOWN]>()
    {
        (*proxy(o)).shown = target.add(1).cast::<[usize; SHOWN]>().read();
    }
}

/// An empty proxy, tracked by the collector.
#[inline]
unsafe fn allocate(kind: *mut PyTypeObject) -> *mut PyObject {
    let Some(allocator) = (*kind).tp_alloc else {
        return PyErr_NoMemory();
    };
    let o = allocator(kind, 0); // zeroed
    if !o.is_null() {
        (&raw mut (*proxy(o)).vectorcall).write(proxy_vectorcall);
    }
    o
}

pub(super) unsafe extern "C" fn new(
    kind: *mut PyTypeObject,
    _args: *mut PyObject,
    _keywords: *mut PyObject,
) -> *mut PyObject {
    allocate(kind)
}

/// A proxy of exactly `Proxy`. Takes over the references of all but the factory; NULL means none.
#[inline]
pub(super) unsafe fn make(
    factory: *mut PyObject,
    default_class: *mut PyObject,
    default_hash: *mut PyObject,
    target: *mut PyObject,
) -> *mut PyObject {
    let o = if callable(factory) {
        allocate(PROXY.get())
    } else {
        null_mut()
    };
    if o.is_null() {
        Py_XDECREF(default_class);
        Py_XDECREF(default_hash);
        Py_XDECREF(target);
        return null_mut();
    }
    let p = proxy(o);
    (*p).factory = new_reference(factory);
    (*p).default_class = default_class;
    (*p).default_hash = if default_hash.is_null() {
        default_hash
    } else {
        compact(default_hash, default_class)
    };
    (*p).target = target;
    (*p).fast = target;
    o
}

/// A proxy of a subclass that answers as another one does. Takes over the factory; NULL with an
/// exception set if there is no memory.
pub(super) unsafe fn alike(
    kind: *mut PyTypeObject,
    factory: *mut PyObject,
    source: *mut PyObject,
    populate_target: bool,
) -> *mut PyObject {
    let o = allocate(kind);
    if o.is_null() {
        Py_DECREF(factory);
        return null_mut();
    }
    // Nothing is called between reading a field and owning it.
    let (from, p) = (proxy(source), proxy(o));
    (*p).factory = factory;
    (*p).default_class = or_null((*from).default_class);
    (*p).default_hash = or_null((*from).default_hash);
    if populate_target {
        (*p).target = or_null((*from).target);
        refresh_fast(o);
    }
    o
}

#[inline]
unsafe fn or_null(field: *mut PyObject) -> *mut PyObject {
    Py_XINCREF(field);
    field
}

#[inline]
unsafe fn callable(factory: *mut PyObject) -> bool {
    if (*Py_TYPE(factory)).tp_call.is_some() {
        return true;
    }
    not_callable(factory);
    false
}

#[cold]
unsafe fn not_callable(factory: *mut PyObject) {
    PyErr_Format(
        PyExc_TypeError,
        c"Factory must be callable, but a '%.200s' object is not: it has no method '__call__'."
            .as_ptr(),
        (*Py_TYPE(factory)).tp_name,
    );
}

unsafe fn init(
    o: *mut PyObject,
    factory: *mut PyObject,
    cache_defaults: bool,
    target: *mut PyObject,
) -> c_int {
    if !callable(factory) {
        return -1;
    }
    let p = proxy(o);
    Py_XDECREF(replace(&raw mut (*p).factory, new_reference(factory)));
    if target.is_null() || target == Py_None() {
        return 0;
    }
    if cache_defaults {
        let class = PyObject_GetAttr(target, CLASS.get());
        if class.is_null() {
            return -1;
        }
        Py_XDECREF(replace(&raw mut (*p).default_class, class));
        let hash = PyObject_Hash(target);
        let hash = if hash != -1 {
            PyLong_FromSsize_t(hash)
        } else if PyErr_ExceptionMatches(PyExc_TypeError) != 0 {
            take_exception() // unhashable: the hash of the proxy says so too
        } else {
            return -1;
        };
        if hash.is_null() {
            return -1;
        }
        Py_XDECREF(replace(&raw mut (*p).default_hash, compact(hash, class)));
    }
    set_target(o, new_reference(target));
    0
}

/// The shortest form of what hashing gave; takes it over and gives it back.
unsafe fn compact(hash: *mut PyObject, class: *mut PyObject) -> *mut PyObject {
    if PyLong_Check(hash) != 0 {
        return hash;
    }
    if says_unhashable(hash, class) {
        Py_DECREF(hash);
        return new_reference(Py_False());
    }
    if PyExceptionInstance_Check(hash) != 0 {
        // A kept exception must not keep the frames that it passed through.
        PyException_SetTraceback(hash, Py_None());
        PyException_SetContext(hash, null_mut());
    }
    hash
}

/// `Proxy(factory)` on the exact type: no argument tuple, no `__new__` and `__init__` to find.
pub(super) unsafe extern "C" fn type_vectorcall(
    kind: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    let count = PyVectorcall_NARGS(nargsf);
    if count == 1 && keyword_names.is_null() {
        return make(*args, null_mut(), null_mut(), null_mut());
    }
    let Some(parsed) = Arguments::from_vector(args, count, keyword_names) else {
        return null_mut();
    };
    let o = allocate(kind.cast());
    if !o.is_null() && init(o, parsed.factory, parsed.cache_defaults, parsed.target) < 0 {
        Py_DECREF(o);
        return null_mut();
    }
    o
}

/// `__init__`, which subclasses call.
pub(super) unsafe extern "C" fn tp_init(
    o: *mut PyObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> c_int {
    let count = PyTuple_GET_SIZE(args);
    let first = if count == 0 {
        null_mut()
    } else {
        PyTuple_GET_ITEM(args, 0)
    };
    let Some(mut parsed) = Arguments::positional(first, count) else {
        return -1;
    };
    if !keywords.is_null() {
        let (mut position, mut name, mut value) = (0, null_mut(), null_mut());
        while PyDict_Next(keywords, &raw mut position, &raw mut name, &raw mut value) != 0 {
            if !parsed.keyword(name, value) {
                return -1;
            }
        }
    }
    if !parsed.complete() {
        return -1;
    }
    init(o, parsed.factory, parsed.cache_defaults, parsed.target)
}

/// `(factory, *, cache_defaults=False, target=None)`; borrowed references.
struct Arguments {
    factory: *mut PyObject,
    cache_defaults: bool,
    target: *mut PyObject,
}

impl Arguments {
    unsafe fn from_vector(
        args: *const *mut PyObject,
        count: isize,
        keyword_names: *mut PyObject,
    ) -> Option<Self> {
        let first = if count == 0 { null_mut() } else { *args };
        let mut parsed = Self::positional(first, count)?;
        if !keyword_names.is_null() {
            for i in 0..PyTuple_GET_SIZE(keyword_names) {
                let name = PyTuple_GET_ITEM(keyword_names, i);
                if !parsed.keyword(name, *args.offset(count + i)) {
                    return None;
                }
            }
        }
        parsed.complete().then_some(parsed)
    }

    unsafe fn positional(first: *mut PyObject, count: isize) -> Option<Self> {
        if count > 1 {
            PyErr_Format(
                PyExc_TypeError,
                c"Proxy() takes 1 positional argument but %zd were given".as_ptr(),
                count,
            );
            return None;
        }
        Some(Self {
            factory: first,
            cache_defaults: false,
            target: null_mut(),
        })
    }

    unsafe fn keyword(&mut self, name: *mut PyObject, value: *mut PyObject) -> bool {
        if equal(name, TARGET_KEYWORD.get()) {
            self.target = value;
        } else if equal(name, CACHE_DEFAULTS_KEYWORD.get()) {
            match PyObject_IsTrue(value) {
                -1 => return false,
                truth => self.cache_defaults = truth != 0,
            }
        } else if equal(name, FACTORY_KEYWORD.get()) {
            if !self.factory.is_null() {
                PyErr_SetString(
                    PyExc_TypeError,
                    c"Proxy() got multiple values for argument 'factory'".as_ptr(),
                );
                return false;
            }
            self.factory = value;
        } else {
            PyErr_Format(
                PyExc_TypeError,
                c"Proxy() got an unexpected keyword argument '%U'".as_ptr(),
                name,
            );
            return false;
        }
        true
    }

    unsafe fn complete(&self) -> bool {
        if self.factory.is_null() {
            PyErr_SetString(
                PyExc_TypeError,
                c"Proxy() missing 1 required positional argument: 'factory'".as_ptr(),
            );
        }
        !self.factory.is_null()
    }
}

/// Whether two strings are equal: the same object nearly always, since names are interned.
#[inline(always)]
pub(super) unsafe fn equal(a: *mut PyObject, b: *mut PyObject) -> bool {
    a == b || (PyUnicode_GET_LENGTH(a) == PyUnicode_GET_LENGTH(b) && PyUnicode_Compare(a, b) == 0)
}

pub(super) unsafe extern "C" fn traverse(
    o: *mut PyObject,
    visit: visitproc,
    arg: *mut c_void,
) -> c_int {
    let p = proxy(o);
    let kind: *mut PyObject = Py_TYPE(o).cast(); // a heap type's instances own it
    for field in [
        (*p).target,
        (*p).factory,
        (*p).default_class,
        (*p).default_hash,
        (*p).invalid,
        kind,
    ] {
        if !field.is_null() {
            let stop = visit(field, arg);
            if stop != 0 {
                return stop;
            }
        }
    }
    0
}

pub(super) unsafe extern "C" fn clear(o: *mut PyObject) -> c_int {
    let p = proxy(o);
    (*p).fast = null_mut();
    for field in [
        &raw mut (*p).target,
        &raw mut (*p).factory,
        &raw mut (*p).default_class,
        &raw mut (*p).default_hash,
        &raw mut (*p).invalid,
    ] {
        Py_XDECREF(replace(field, null_mut()));
    }
    0
}

/// How many proxies may be freed inside one another before the rest waits its turn: a chain of
/// proxies must not exhaust the stack. (CPython's own "trashcan" is private, and central only
/// from 3.14.)
const MOST_NESTED: u32 = 40;

struct Nesting {
    depth: Cell<u32>,
    /// Head of the list of dead proxies that wait to be freed, linked through `fast`.
    waiting: Cell<*mut PyObject>,
}

thread_local! {
    static NESTING: Nesting = const {
        Nesting {
            depth: Cell::new(0),
            waiting: Cell::new(null_mut()),
        }
    };
}

/// In how many fields of a proxy the same object may be.
const FIELDS: Py_ssize_t = 5;

/// Whether freeing a proxy may free what it refers to, and so other proxies inside itself. Those
/// that cannot are spared the thread's storage.
#[inline]
unsafe fn frees_more(o: *mut PyObject) -> bool {
    let p = proxy(o);
    !(*p).weak_references.is_null()
        || [
            (*p).target,
            (*p).factory,
            (*p).default_class,
            (*p).default_hash,
            (*p).invalid,
        ]
        .iter()
        .any(|&field| !field.is_null() && Py_REFCNT(field) <= FIELDS)
}

pub(super) unsafe extern "C" fn dealloc(o: *mut PyObject) {
    PyObject_GC_UnTrack(o.cast());
    if !frees_more(o) {
        free(o);
        return;
    }
    NESTING.with(|nesting| {
        let depth = nesting.depth.get();
        if depth >= MOST_NESTED {
            (*proxy(o)).fast = nesting.waiting.replace(o);
            return;
        }
        nesting.depth.set(depth + 1);
        free(o);
        if depth == 0 {
            while !nesting.waiting.get().is_null() {
                let next = nesting.waiting.get();
                nesting.waiting.set((*proxy(next)).fast);
                free(next);
            }
        }
        nesting.depth.set(depth);
    });
}

#[inline]
unsafe fn free(o: *mut PyObject) {
    let kind = Py_TYPE(o);
    if !(*proxy(o)).weak_references.is_null() {
        PyObject_ClearWeakRefs(o);
    }
    clear(o);
    if let Some(free) = (*kind).tp_free {
        free(o.cast());
    }
    Py_DECREF(kind.cast());
}
