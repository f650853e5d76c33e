//! The factory runs once.
//!
//! The first thread that needs the target owns the proxy while it runs the factory; the others
//! wait with the interpreter lock released. What could hang raises instead: a factory that uses
//! its own proxy, and threads whose factories wait for one another in a circle. A wait sees
//! signals, and a fork in the middle leaves the child a proxy that it can resolve itself.

use super::names::{Global, WRAPPED};
use super::object::ProxyObject;
use super::target::{Held, new_reference, overrides_wrapped, proxy, set_target};
use pyo3::ffi::*;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a wait lasts before it looks whether a signal (Ctrl-C) came.
const WAIT_SLICE: Duration = Duration::from_millis(50);

static RESOLVE_ERROR: Global = Global::new();

/// Which thread runs the factory of a proxy: 0 for none, else the number of its [`Ticket`].
#[repr(transparent)]
pub(super) struct Owner(AtomicU64);

/// A thread of a certain process. Numbers of threads are ours and never used twice.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ticket(u64);

/// How many forks lie between this process and the one that imported the module.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The thread that made the last fork: of its parent's threads the only one that lives here.
static SURVIVOR: AtomicU32 = AtomicU32::new(0);
static LAST_THREAD: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

fn thread_number() -> u32 {
    THREAD.with(|number| {
        if number.get() == 0 {
            number.set(LAST_THREAD.fetch_add(1, SeqCst) + 1);
        }
        number.get()
    })
}

impl Ticket {
    const NOBODY: Self = Self(0);

    fn mine() -> Self {
        Self(u64::from(GENERATION.load(SeqCst)) << 32 | u64::from(thread_number()))
    }

    fn thread(self) -> u32 {
        self.0 as u32
    }

    /// Whether its thread stayed behind in the process from which this one was forked.
    fn is_stale(self) -> bool {
        (self.0 >> 32) as u32 != GENERATION.load(SeqCst) && self.thread() != SURVIVOR.load(SeqCst)
    }
}

impl Owner {
    fn get(&self) -> Ticket {
        Ticket(self.0.load(SeqCst))
    }

    /// Takes ownership, or says who has it.
    fn take(&self, mine: Ticket) -> Result<(), Ticket> {
        match self.0.compare_exchange(0, mine.0, SeqCst, SeqCst) {
            Ok(_) => Ok(()),
            Err(other) if Ticket(other).is_stale() => {
                match self.0.compare_exchange(other, mine.0, SeqCst, SeqCst) {
                    Ok(_) => Ok(()),
                    Err(other) => Err(Ticket(other)),
                }
            }
            Err(other) => Err(Ticket(other)),
        }
    }

    fn release(&self) {
        self.0.store(0, SeqCst);
        if WAITING.load(SeqCst) != 0 {
            let line = Line::current();
            drop(line.lock());
            line.wake.notify_all();
        }
    }
}

/// How many threads wait; without any, releasing needs no lock.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Where threads wait, and for which proxy each.
struct Line {
    waits: Mutex<Vec<(u32, usize)>>,
    wake: Condvar,
}

static FIRST_LINE: Line = Line::new();
/// The line in use: a forked child needs a new one, since a thread that it does not have may hold
/// the lock of the old one.
static LINE: AtomicPtr<Line> = AtomicPtr::new((&raw const FIRST_LINE).cast_mut());

impl Line {
    const fn new() -> Self {
        Self {
            waits: Mutex::new(Vec::new()),
            wake: Condvar::new(),
        }
    }

    fn current() -> &'static Self {
        // SAFETY: a static, or a box that is never freed.
        unsafe { &*LINE.load(SeqCst) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u32, usize)>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The target of a proxy whose `fast` is NULL: a new reference, or NULL with an exception set.
#[cold]
#[inline(never)]
pub(super) unsafe fn resolve(o: *mut PyObject) -> *mut PyObject {
    if overrides_wrapped(Py_TYPE(o)) {
        return PyObject_GenericGetAttr(o, WRAPPED.get());
    }
    resolve_here(o)
}

/// As [`resolve`], not minding what a subclass makes of `__proxy_wrapped__`.
#[inline(never)]
pub(super) unsafe fn resolve_here(o: *mut PyObject) -> *mut PyObject {
    let p = proxy(o);
    if !(*p).invalid.is_null() {
        raise_again((*p).invalid);
        return null_mut();
    }
    let mine = Ticket::mine();
    loop {
        if !(*p).target.is_null() {
            return new_reference((*p).target);
        }
        match (*p).owner.take(mine) {
            Ok(()) => break,
            Err(owner) if owner.thread() == mine.thread() => {
                let cause = new_exception(
                    PyExc_RecursionError,
                    c"the factory of this proxy used the proxy that it resolves",
                );
                raise_resolve_error(
                    c"The factory of this proxy used the proxy itself while resolving it.",
                    cause,
                );
                return null_mut();
            }
            Err(_) => {
                if !wait(p, mine) || PyErr_CheckSignals() < 0 {
                    return null_mut();
                }
            }
        }
    }
    let result = run_factory(o);
    (*p).owner.release();
    result
}

unsafe fn run_factory(o: *mut PyObject) -> *mut PyObject {
    let factory = (*proxy(o)).factory;
    if factory.is_null() {
        let cause = new_exception(
            PyExc_AttributeError,
            c"'Proxy' object has no attribute '__proxy_factory__'",
        );
        raise_resolve_error(
            c"Proxy is not initialized: __proxy_factory__ is missing.",
            cause,
        );
        return null_mut();
    }
    let factory = Held::borrowed(factory);
    let target = PyObject_CallNoArgs(factory.get());
    if !target.is_null() {
        set_target(o, new_reference(target));
    } else if PyErr_ExceptionMatches(PyExc_Exception) != 0 {
        // KeyboardInterrupt and SystemExit pass as they are.
        raise_resolve_error(
            c"The factory of this proxy raised an error while resolving the target object. See the full stack trace for the direct cause of this exception.",
            take_exception(),
        );
    }
    target
}

/// Waits until the owner is done or the slice of time is over; false with an exception set when
/// waiting would close a circle.
unsafe fn wait(p: *mut ProxyObject, mine: Ticket) -> bool {
    let line = Line::current();
    WAITING.fetch_add(1, SeqCst);
    let circle = {
        let mut waits = line.lock();
        let circle = closes_circle(p, mine, &waits);
        if !circle {
            waits.push((mine.thread(), p as usize));
        }
        circle
    };
    if !circle {
        // The caller's reference keeps the proxy alive meanwhile.
        let state = PyEval_SaveThread();
        {
            let waits = line.lock();
            if (*p).owner.get() != Ticket::NOBODY {
                drop(
                    line.wake
                        .wait_timeout(waits, WAIT_SLICE)
                        .unwrap_or_else(PoisonError::into_inner),
                );
            }
        }
        line.lock().retain(|(thread, _)| *thread != mine.thread());
        PyEval_RestoreThread(state);
    }
    WAITING.fetch_sub(1, SeqCst);
    if circle {
        let cause = new_exception(
            PyExc_RecursionError,
            c"proxies that resolve one another in several threads",
        );
        raise_resolve_error(
            c"The factories of several proxies wait for one another.",
            cause,
        );
    }
    !circle
}

/// Follows owner to proxy to owner; each thread waits for one proxy at most. Every proxy in the
/// list is alive, since its waiter holds it.
unsafe fn closes_circle(mut p: *mut ProxyObject, mine: Ticket, waits: &[(u32, usize)]) -> bool {
    // As many steps as there are waiters: a list that changes under us cannot hold us for ever.
    for _ in 0..=waits.len() {
        let owner = (*p).owner.get().thread();
        if owner == mine.thread() {
            return true;
        }
        match waits.iter().find(|(thread, _)| *thread == owner) {
            Some((_, next)) => p = *next as *mut ProxyObject,
            None => return false,
        }
    }
    false
}

/// Raises `ProxyResolveError(message, cause)`; takes over the cause.
unsafe fn raise_resolve_error(message: &CStr, cause: *mut PyObject) {
    let Some(cause) = Held::owned(cause) else {
        return; // making it failed, and that error is set
    };
    let class = RESOLVE_ERROR.load_from(c"proxystore.proxy", c"ProxyResolveError");
    if class.is_null() {
        return;
    }
    let Some(message) = Held::owned(PyUnicode_FromString(message.as_ptr())) else {
        return;
    };
    let error =
        PyObject_CallFunctionObjArgs(class, message.get(), cause.get(), null_mut::<PyObject>());
    let Some(error) = Held::owned(error) else {
        return;
    };
    PyException_SetContext(error.get(), new_reference(cause.get()));
    PyException_SetCause(error.get(), cause.into_ptr());
    PyErr_SetObject(class, error.get());
}

unsafe fn new_exception(class: *mut PyObject, message: &CStr) -> *mut PyObject {
    let Some(message) = Held::owned(PyUnicode_FromString(message.as_ptr())) else {
        return null_mut();
    };
    PyObject_CallOneArg(class, message.get())
}

/// Takes the exception that is set, as an object with its traceback.
pub(super) unsafe fn take_exception() -> *mut PyObject {
    #[cfg(Py_3_12)]
    {
        PyErr_GetRaisedException()
    }
    #[cfg(not(Py_3_12))]
    {
        let (mut class, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
        PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
        if !traceback.is_null() {
            PyException_SetTraceback(value, traceback);
            Py_DECREF(traceback);
        }
        Py_XDECREF(class);
        value
    }
}

/// Raises an exception like the kept one: raising that one itself would make its traceback grow
/// with each use.
pub(super) unsafe fn raise_again(kept: *mut PyObject) {
    let kept = Held::borrowed(kept);
    let class: *mut PyObject = Py_TYPE(kept.get()).cast();
    let Some(args) = Held::owned(PyObject_GetAttrString(kept.get(), c"args".as_ptr())) else {
        return;
    };
    let fresh = PyObject_Call(class, args.get(), null_mut());
    if let Some(fresh) = Held::owned(fresh) {
        PyErr_SetObject(class, fresh.get());
    } else if PyErr_ExceptionMatches(PyExc_TypeError) != 0 {
        // A class whose `__init__` takes something else than its `args`.
        PyErr_Clear();
        PyErr_SetObject(class, kept.get());
    }
}

/// Has the child of a fork forget the threads that it does not have.
pub(super) fn register_at_fork(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    let after = PyCFunction::new_closure(py, Some(c"after_fork_in_child"), None, |_, _| {
        SURVIVOR.store(thread_number(), SeqCst);
        GENERATION.fetch_add(1, SeqCst);
        WAITING.store(0, SeqCst);
        LINE.store(Box::into_raw(Box::new(Line::new())), SeqCst);
        PyResult::Ok(())
    })?;
    let os = py.import("os")?;
    if os.hasattr("register_at_fork")? {
        let keywords = PyDict::new(py);
        keywords.set_item("after_in_child", after)?;
        os.call_method("register_at_fork", (), Some(&keywords))?;
    }
    Ok(())
}
