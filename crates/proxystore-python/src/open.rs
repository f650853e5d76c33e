//! Opens the connectors of the core; the public classes say what the arguments mean.

use crate::connector::PyNativeConnector;
use crate::door::{Gil, through};
use proxystore::config::Url;
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::connectors::memory::MemoryConnector;
use proxystore::connectors::object_store::{ObjectStoreConfig, ObjectStoreConnector};
use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use proxystore::connectors::shared_memory::{Session, SharedMemoryConfig, SharedMemoryConnector};
use proxystore_endpoint::{EndpointConfig, EndpointConnector};
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
    let mut config = RedisConfig::default().port(port).bare_keys(true);
    config.unix_socket = host.starts_with('/').then(|| PathBuf::from(&host));
    config.host = host;
    let connector = through(py, Gil::Release, || RedisConnector::connect(config))?;
    Ok(PyNativeConnector::new(connector))
}

/// A connector of the Redis server that a URL names, and whether a password stands in the URL that
/// must not be sent to other processes. Nothing is asked of the server if `connect` is false.
#[pyfunction]
#[pyo3(signature = (url))]
pub(crate) fn open_redis_url(
    py: Python<'_>,
    url: &str,
) -> PyResult<(PyNativeConnector, RedisParts)> {
    let open = || {
        let mut config = RedisConfig::from_url(Url::parse(url)?)?;
        // As `open_redis`: what ProxyStore 1.x wrote is found too. It knew no clusters.
        config.bare_keys |=
            config.cluster.is_none() && config.namespace == RedisConfig::default().namespace;
        RedisConnector::connect(config)
    };
    let connector = through(py, Gil::Release, open)?;
    let config = connector.config();
    let host = match &config.unix_socket {
        Some(path) => path.display().to_string(),
        None => config.host.clone(),
    };
    let parts = (
        host,
        config.port,
        config.clear_on_close,
        config.holds_secret(),
        connector.to_string(),
    );
    Ok((PyNativeConnector::new(connector), parts))
}

/// Host, port, whether to clear on close, whether the URL holds a secret, the place in words.
type RedisParts = (String, u16, bool, bool, String);

/// A connector of the bucket that a URL names; whether to clear on close, whether a secret stands
/// in the URL that must not be sent to other processes, and the place in words.
#[pyfunction]
pub(crate) fn open_object_store(
    py: Python<'_>,
    url: &str,
) -> PyResult<(PyNativeConnector, (bool, bool, String))> {
    let open = || {
        let config = ObjectStoreConfig::from_url(Url::parse(url)?)?;
        ObjectStoreConnector::connect(config)
    };
    let connector = through(py, Gil::Release, open)?;
    let config = connector.config();
    let parts = (
        config.clear_on_close,
        config.holds_secret(),
        connector.to_string(),
    );
    Ok((PyNativeConnector::new(connector), parts))
}

/// What `join_shared_memory` needs: name, place, dir, spill_dir, origin.
type SessionParts = (String, String, PathBuf, Option<PathBuf>, String);

/// A place of its own in the shared memory of this program.
#[pyfunction]
#[pyo3(signature = (dir, spill_dir, limit, session))]
pub(crate) fn open_shared_memory(
    py: Python<'_>,
    dir: Option<PathBuf>,
    spill_dir: Option<PathBuf>,
    limit: Option<u64>,
    session: Option<String>,
) -> PyResult<(PyNativeConnector, SessionParts)> {
    let mut config = SharedMemoryConfig::default();
    (config.dir, config.spill_dir) = (dir, spill_dir);
    (config.limit, config.session) = (limit, session);
    let connector = through(py, Gil::Release, || SharedMemoryConnector::create(config))?;
    let Session {
        name,
        place,
        dir,
        spill_dir,
        origin,
    } = connector.session().clone();
    let parts = (name, place, dir, spill_dir, origin);
    Ok((PyNativeConnector::new(connector), parts))
}

/// A place in shared memory that another process made.
#[pyfunction]
#[pyo3(signature = (name, place, dir, spill_dir, origin))]
pub(crate) fn join_shared_memory(
    py: Python<'_>,
    name: String,
    place: String,
    dir: PathBuf,
    spill_dir: Option<PathBuf>,
    origin: String,
) -> PyResult<PyNativeConnector> {
    let session = Session {
        name,
        place,
        dir,
        spill_dir,
        origin,
    };
    let connector = through(py, Gil::Release, || SharedMemoryConnector::join(&session))?;
    Ok(PyNativeConnector::new(connector))
}

/// Of the endpoint of this site: its UUID, its host, its address for other hosts or nothing.
type EndpointParts = (String, String, String);

/// A connector of the first of some endpoints that runs at this site.
#[pyfunction]
pub(crate) fn open_endpoint(
    py: Python<'_>,
    endpoints: Vec<String>,
    dir: Option<PathBuf>,
) -> PyResult<(PyNativeConnector, EndpointParts)> {
    let mut config = EndpointConfig::of(endpoints);
    config.dir = dir;
    let connector = through(py, Gil::Release, || EndpointConnector::open(config))?;
    let running = connector.endpoint();
    let parts = (
        running.uuid.clone(),
        running.host.clone(),
        running.address.clone(),
    );
    Ok((PyNativeConnector::new(connector), parts))
}
