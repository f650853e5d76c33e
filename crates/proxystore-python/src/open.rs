//! Opens the connectors of the core; the public classes say what the arguments mean.

use crate::connector::PyNativeConnector;
use crate::door::{Gil, through};
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::connectors::memory::MemoryConnector;
use pyo3::prelude::*;
use std::path::PathBuf;

/// A connector of this process's memory.
#[pyfunction]
pub(crate) fn open_memory() -> PyNativeConnector {
    PyNativeConnector::new(MemoryConnector::new())
}

/// A connector of a directory.
#[pyfunction]
pub(crate) fn open_file(py: Python<'_>, dir: PathBuf) -> PyResult<PyNativeConnector> {
    let config = FileConfig::new(dir);
    let connector = through(py, Gil::Release, || FileConnector::open(config))?;
    Ok(PyNativeConnector::new(connector))
}
