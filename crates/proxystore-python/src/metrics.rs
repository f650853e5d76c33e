//! Measures a store's operations, where its metrics are on.
//!
//! An operation appends one tuple to a list of `proxystore.store.metrics.StoreMetrics`, which makes
//! numbers of it when someone asks. The GIL makes the append whole, so there is no lock.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How many events wait before numbers are made of them: some 2 MB.
const MOST_WAITING: usize = 8192;

/// Where a store's operations are recorded.
pub(crate) struct Recorder {
    metrics: Py<PyAny>,
    events: Py<PyList>,
}

/// One operation under way.
pub(crate) struct Span<'a> {
    recorder: &'a Recorder,
    operation: &'static str,
    start: Instant,
    lap: Instant,
    parts: [Option<(&'static str, f64)>; 2],
    size: Option<usize>,
    hit: Option<bool>,
}

impl Recorder {
    pub(crate) fn new(metrics: Bound<'_, PyAny>) -> PyResult<Self> {
        let events = metrics.getattr(intern!(metrics.py(), "_events"))?;
        Ok(Self {
            metrics: metrics.unbind(),
            events: events.cast_into::<PyList>()?.unbind(),
        })
    }

    pub(crate) fn begin(&self, operation: &'static str) -> Span<'_> {
        let now = Instant::now();
        Span {
            recorder: self,
            operation,
            start: now,
            lap: now,
            parts: [None, None],
            size: None,
            hit: None,
        }
    }

    pub(crate) fn visit(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.metrics)?;
        visit.call(&self.events)
    }
}

impl Span<'_> {
    /// A part of the operation ends here; the next one begins.
    pub(crate) fn part(&mut self, name: &'static str) {
        let now = Instant::now();
        let took = milliseconds(now - self.lap);
        self.lap = now;
        if let Some(free) = self.parts.iter_mut().find(|part| part.is_none()) {
            *free = Some((name, took));
        }
    }

    pub(crate) fn size(&mut self, size: usize) {
        self.size = Some(size);
    }

    pub(crate) fn hit(&mut self, hit: bool) {
        self.hit = Some(hit);
    }

    /// The operation has ended; the key is known by now.
    pub(crate) fn end(self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        let took = milliseconds(self.start.elapsed());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since.map_or(0.0, |since| since.as_secs_f64());
        let parts: Vec<_> = self.parts.into_iter().flatten().collect();
        let parts = PyTuple::new(py, parts)?;
        let event = (
            key,
            self.operation,
            timestamp,
            took,
            parts,
            self.size,
            self.hit,
        );
        let events = self.recorder.events.bind(py);
        events.append(event)?;
        if events.len() >= MOST_WAITING {
            let metrics = self.recorder.metrics.bind(py);
            metrics.call_method0(intern!(py, "_fold"))?;
        }
        Ok(())
    }
}

/// The end of an operation, if it is measured.
pub(crate) fn end(span: Option<Span<'_>>, key: &Bound<'_, PyAny>) -> PyResult<()> {
    span.map_or(Ok(()), |span| span.end(key))
}

/// The end of a part of an operation, if it is measured.
pub(crate) fn part(span: &mut Option<Span<'_>>, name: &'static str) {
    if let Some(span) = span {
        span.part(name);
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
