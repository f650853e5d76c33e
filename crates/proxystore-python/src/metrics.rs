//! Measures a store's operations, where its metrics are on or the program is traced.
//!
//! An operation appends one tuple to a list of `proxystore.store.metrics.StoreMetrics`, which makes
//! numbers of it when someone asks. The GIL makes the append whole, so there is no lock.

use proxystore::trace::{Event, Tracer};
use pyo3::exceptions::PyRuntimeWarning;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::ffi::CString;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many events wait before numbers are made of them: some 2 MB.
const MOST_WAITING: usize = 8192;

/// Where a store's operations are recorded.
pub(crate) struct Recorder {
    metrics: Option<Numbers>,
    tracer: Option<Tracer>,
}

/// The metrics of a store, and the list in them.
struct Numbers {
    metrics: Py<PyAny>,
    events: Py<PyList>,
}

/// One operation under way.
pub(crate) struct Span<'a> {
    recorder: &'a Recorder,
    operation: &'static str,
    start: Instant,
    lap: Instant,
    parts: [Option<(&'static str, Duration)>; 2],
    size: Option<usize>,
    hit: Option<bool>,
}

impl Recorder {
    /// What a store of a name records with; None if its metrics are off and nothing is traced.
    pub(crate) fn new(
        py: Python<'_>,
        store: &str,
        metrics: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Option<Self>> {
        let metrics = metrics.map(Numbers::new).transpose()?;
        let tracer = match Tracer::of_store(store) {
            Ok(tracer) => tracer,
            // What is only for looking shall not stop the program.
            Err(error) => {
                let message = CString::new(error.to_string()).unwrap_or_default();
                PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &message, 2)?;
                None
            }
        };
        let any = metrics.is_some() || tracer.is_some();
        Ok(any.then_some(Self { metrics, tracer }))
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
        if let Some(numbers) = &self.metrics {
            visit.call(&numbers.metrics)?;
            visit.call(&numbers.events)?;
        }
        Ok(())
    }
}

impl Numbers {
    fn new(metrics: Bound<'_, PyAny>) -> PyResult<Self> {
        let events = metrics.getattr(intern!(metrics.py(), "_events"))?;
        Ok(Self {
            metrics: metrics.unbind(),
            events: events.cast_into::<PyList>()?.unbind(),
        })
    }

    fn add(&self, span: &Span<'_>, took: Duration, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since.map_or(0.0, |since| since.as_secs_f64());
        let parts = span.parts.iter().flatten();
        let parts: Vec<_> = parts
            .map(|(name, took)| (*name, milliseconds(*took)))
            .collect();
        let event = (
            key,
            span.operation,
            timestamp,
            milliseconds(took),
            PyTuple::new(py, parts)?,
            span.size,
            span.hit,
        );
        let events = self.events.bind(py);
        events.append(event)?;
        if events.len() >= MOST_WAITING {
            let metrics = self.metrics.bind(py);
            metrics.call_method0(intern!(py, "_fold"))?;
        }
        Ok(())
    }
}

impl Span<'_> {
    /// A part of the operation ends here; the next one begins.
    pub(crate) fn part(&mut self, name: &'static str) {
        let now = Instant::now();
        let took = now - self.lap;
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
        let took = self.start.elapsed();
        // The call of a factory is its resolving: once is enough to look at.
        let traced = self.operation != "factory.call";
        if let Some(tracer) = self.recorder.tracer.as_ref().filter(|_| traced) {
            let mut parts = [("", Duration::ZERO); 2];
            let mut count = 0;
            for part in self.parts.iter().flatten() {
                parts[count] = *part;
                count += 1;
            }
            let mut event = Event::new(self.operation, self.start, took);
            event.parts = &parts[..count];
            event.bytes = self.size.map(|size| size as u64);
            event.hit = self.hit;
            tracer.record(&event);
        }
        match &self.recorder.metrics {
            Some(numbers) => numbers.add(&self, took, key),
            None => Ok(()),
        }
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

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
