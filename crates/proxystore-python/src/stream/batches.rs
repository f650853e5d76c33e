//! The core's batches, of Python's objects.

use proxystore::Error;
use proxystore::stream::Batches;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects that wait for their topic's batch to be full. No Python code runs under its lock.
#[pyclass(name = "Batches", module = "proxystore._core", frozen)]
pub(crate) struct PyBatches {
    batches: Mutex<Batches<Py<PyAny>>>,
}

impl PyBatches {
    fn batches(&self) -> MutexGuard<'_, Batches<Py<PyAny>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed(py: Python<'_>, error: &Error) -> PyErr {
    let raise = || -> PyResult<PyErr> {
        let class = py
            .import("proxystore.stream.exceptions")?
            .getattr("TopicClosedError")?
            .cast_into::<PyType>()?;
        Ok(PyErr::from_value(class.call1((error.to_string(),))?))
    };
    raise().unwrap_or_else(|failure| failure)
}

#[pymethods]
impl PyBatches {
    #[new]
    fn new(size: isize) -> Self {
        let size = usize::try_from(size).unwrap_or_default();
        Self {
            batches: Mutex::new(Batches::new(size)),
        }
    }

    /// Raises if a topic is closed.
    fn check(&self, py: Python<'_>, topic: &str) -> PyResult<()> {
        let checked = self.batches().check(topic);
        checked.map_err(|error| closed(py, &error))
    }

    /// Adds an item; returns the batch once it is full.
    fn push(
        &self,
        py: Python<'_>,
        topic: &str,
        item: Py<PyAny>,
    ) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let pushed = self.batches().push(topic, item);
        pushed.map_err(|error| closed(py, &error))
    }

    /// Takes what waits in a topic.
    fn take(&self, topic: &str) -> Vec<Py<PyAny>> {
        self.batches().take(topic)
    }

    /// Gives back what was taken and not sent.
    fn restore(&self, topic: &str, items: Vec<Py<PyAny>>) {
        self.batches().restore(topic, items);
    }

    /// The topics in which something waits.
    fn topics(&self) -> Vec<String> {
        self.batches().topics()
    }

    /// Closes a topic; returns whether it was open.
    fn close(&self, topic: &str) -> bool {
        self.batches().close(topic)
    }

    fn is_closed(&self, topic: &str) -> bool {
        self.batches().is_closed(topic)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(batches) = self.batches.try_lock() {
            for item in batches.iter() {
                visit.call(item)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let topics = self.topics();
        let items: Vec<_> = topics.iter().map(|topic| self.take(topic)).collect();
        drop(items); // not under the lock
    }
}
