//! Opens the connectors of the core; the public classes say what the arguments mean.

use crate::connector::PyNativeConnector;
use crate::door::{Gil, through};
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::connectors::memory::MemoryConnector;
use proxystore::connectors::redis::{RedisConfig, RedisConnector};
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

/// A connector of a Redis server that answers; a host that begins with `/` is its unix socket.
///
/// Keys without our namespace, as ProxyStore 1.x wrote them, are found too.
#[pyfunction]
pub(crate) fn open_redis(py: Python<'_>, host: String, port: u16) -> PyResult<PyNativeConnector> {
    let unix_socket = host.starts_with('/').then(|| PathBuf::from(&host));
    let config = RedisConfig {
        host,
        port,
        unix_socket,
        bare_keys: true,
        ..RedisConfig::default()
    };
    let connector = through(py, Gil::Release, || RedisConnector::connect(config))?;
    Ok(PyNativeConnector::new(connector))
}
