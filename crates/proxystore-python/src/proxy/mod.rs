//! The proxy type: a lazy, transparent stand-in for the object that its factory makes.
//!
//! A raw CPython heap type (`PyType_FromSpec`) with one C function per slot; pyo3 only makes the
//! module. The rooms, in the order of a proxy's life:
//!
//! | file | holds |
//! |---|---|
//! | `names` | interned strings, and the objects found once at import |
//! | `lookup` | what classes say of a name, remembered |
//! | `object` | the memory of a proxy: made, initialised, traversed, cleared, freed |
//! | `target` | how every slot gets at the target, and how the target changes |
//! | `resolution` | the factory runs once: single flight, re-entry, circles, signals, fork |
//! | `attributes`, `classes` | what is read from the proxy and what from the target |
//! | `call`, `numbers`, `containers`, `text`, `asynchronous`, `buffer`, `numpy` | the protocols |
//! | `ownership` | owners and borrows, which are proxies that count one another |
//! | `pickling` | the factory travels, never the target |
//! | `spec` | the table that binds the functions to the slots |
//!
//! # Why this is sound
//!
//! The functions below are called by CPython alone, through the slots of the type that `spec`
//! builds, so each gets what the C API promises for that slot: live objects, the interpreter lock
//! held, and a `self` that is a proxy (binary slots excepted, which test for it). Those who call
//! out hold a strong reference ([`target::Held`]) to whatever they use afterwards, because the
//! code they call may drop the proxy's own. No function panics, and no Rust reference to a proxy's
//! fields lives across a call into Python.
#![allow(
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc,
    reason = "every function here is a C slot under the one contract above"
)]

mod asynchronous;
mod attributes;
mod buffer;
mod call;
mod classes;
mod containers;
mod lookup;
mod names;
mod numbers;
mod numpy;
mod object;
mod ownership;
mod pickling;
mod resolution;
mod spec;
mod target;
mod text;

use pyo3::prelude::*;

/// Adds the room's names to the module.
pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    names::init(py)?;
    let proxy = spec::make_type(py)?;
    m.add("Proxy", proxy)?;
    m.add("_proxy_trampoline", pickling::make_trampoline(py)?)?;
    m.add("ReferenceBase", ownership::make_type(py)?)?;
    m.add_function(wrap_pyfunction!(ownership::own, m)?)?;
    m.add_function(wrap_pyfunction!(ownership::borrow, m)?)?;
    m.add_function(wrap_pyfunction!(ownership::note_borrow, m)?)?;
    m.add_function(wrap_pyfunction!(ownership::give_back_borrow, m)?)?;
    resolution::register_at_fork(m)
}

/// A proxy of exactly the type `Proxy`, with the class and the hash that it answers for while it
/// is not resolved, and with its target where the maker has it at hand.
///
/// # Errors
/// `TypeError` when the factory is not callable.
pub(crate) fn new_proxy<'py>(
    py: Python<'py>,
    factory: Bound<'py, PyAny>,
    default_class: Option<Bound<'py, PyAny>>,
    default_hash: Option<Bound<'py, PyAny>>,
    target: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the pointers are live for the call, and the result is a new reference or NULL with
    // an exception set.
    unsafe {
        let proxy = object::make(
            factory.as_ptr(),
            default_class.map_or(std::ptr::null_mut(), Bound::into_ptr),
            default_hash.map_or(std::ptr::null_mut(), Bound::into_ptr),
            target.map_or(std::ptr::null_mut(), Bound::into_ptr),
        );
        Bound::from_owned_ptr_or_err(py, proxy)
    }
}
