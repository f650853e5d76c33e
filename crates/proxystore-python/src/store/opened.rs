//! What an open store has.

use crate::backend::Backend;
use crate::cache::PyLruCache;
use crate::codec::Pickles;
use crate::metrics::Recorder;
use proxystore::single_flight::SingleFlight;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Opened {
    pub(crate) name: Py<PyString>,
    pub(crate) backend: Backend,
    pub(crate) connector: Py<PyAny>,
    pub(crate) serializer: Option<Py<PyAny>>,
    pub(crate) deserializer: Option<Py<PyAny>>,
    pub(crate) cache: Py<PyLruCache>,
    pub(crate) populate_target: bool,
    /// Whether frames carry a checksum of their buffers.
    pub(crate) checksum: bool,
    pub(crate) pickles: Pickles,
    /// None if metrics are off and the program is not traced.
    pub(crate) recorder: Option<Recorder>,
    /// What a proxy carries to reopen this store elsewhere: made at the first need, and then kept
    /// if the connector is one of the core, whose configuration does not change.
    pub(crate) recipe: PyOnceLock<Py<PyTuple>>,
    pub(crate) flights: SingleFlight<Vec<u8>, Arc<Py<PyAny>>>,
    /// Counts what `change` does, twice each.
    pub(crate) changes: AtomicU64,
}

impl Opened {
    /// Evicts or replaces objects. A get that overlaps it fills no cache: it may have read what is
    /// there no more.
    pub(crate) fn change<T>(&self, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let done = work();
        self.changes.fetch_add(1, Ordering::Relaxed);
        done
    }
}
