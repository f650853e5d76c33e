//! Putting an object: encoding it, and what its proxy answers before it is resolved.

use super::{Opened, PyStore};
use crate::codec::{self, Encoded};
use crate::metrics;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};
use std::time::Duration;

/// Hashes of longer text and bytes are not cached in a proxy: computing one reads every byte.
const LONGEST_HASHED: usize = 64 << 10;

impl PyStore {
    /// An object as a frame: by the serializer of the call, of the store, or our own codecs. A
    /// snapshot shares no memory that others can write to.
    pub(crate) fn encode(
        opened: &Opened,
        obj: &Bound<'_, PyAny>,
        serializer: Option<&Bound<'_, PyAny>>,
        snapshot: bool,
    ) -> PyResult<Encoded> {
        let py = obj.py();
        let mut encoded = match serializer.or(opened.serializer.as_ref().map(|own| own.bind(py))) {
            Some(serializer) => codec::encode_foreign(&serializer.call1((obj,))?)?,
            None => codec::encode(obj)?,
        };
        if snapshot {
            encoded.snapshot(py)?;
        }
        if opened.checksum {
            encoded.add_checksum();
        }
        opened.pickles.check(py, &encoded)?;
        Ok(encoded)
    }

    pub(super) fn put_object<'py>(
        slf: &Bound<'py, Self>,
        obj: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        snapshot: bool,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let opened = slf.get().opened()?;
        let mut span = slf.get().measure("store.put");
        let encoded = Self::encode(opened, obj, serializer, snapshot)?;
        metrics::part(&mut span, "serialize");
        let lease = lease_of(opened, lifetime)?;
        let key = opened.backend.put(py, &encoded, kwargs, lease)?;
        if let Some(mut span) = span {
            span.part("connector");
            span.size(encoded.total_len(py));
            span.end(&key)?;
        }
        if let Some(lifetime) = lifetime {
            attach(lifetime, &key, slf, lease)?;
        }
        Ok(key)
    }
}

/// What is left of a lease, where the place itself will see to it.
pub(super) fn lease_of(
    opened: &Opened,
    lifetime: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Duration>> {
    let Some(lifetime) = lifetime.filter(|_| opened.backend.keeps_leases()) else {
        return Ok(None);
    };
    match lifetime.getattr_opt(intern!(lifetime.py(), "_lease_left"))? {
        Some(left) => Ok(left.call0()?.extract::<Option<f64>>()?.map(lease)),
        None => Ok(None),
    }
}

/// Seconds as a lease; the shortest if they are over.
pub(super) fn lease(seconds: f64) -> Duration {
    let seconds = seconds.max(0.001);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Hands a key over to a lifetime. One whose lease the object has already only notes it.
pub(super) fn attach(
    lifetime: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    store: &Bound<'_, PyStore>,
    lease: Option<Duration>,
) -> PyResult<()> {
    let py = key.py();
    if lease.is_some() {
        return lifetime
            .call_method1(intern!(py, "_add_leased"), (key, store))
            .map(drop);
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "store"), store)?;
    lifetime
        .call_method(intern!(py, "add_key"), (key,), Some(&kwargs))
        .map(drop)
}

/// What `hash` of an unresolved proxy will answer: a number, or the error for an unhashable
/// target; None where computing it would read megabytes.
pub(super) fn cached_hash<'py>(target: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = target.py();
    let is_text =
        target.is_exact_instance_of::<PyBytes>() || target.is_exact_instance_of::<PyString>();
    if is_text && target.len()? > LONGEST_HASHED {
        return Ok(None);
    }
    match target.hash() {
        Ok(hash) => Ok(Some(hash.into_pyobject(py)?.into_any())),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            Ok(Some(error.into_value(py).into_bound(py).into_any()))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn non_proxiable(obj: &Bound<'_, PyAny>) -> PyErr {
    let py = obj.py();
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let raise = || -> PyResult<PyErr> {
        let class = CLASS.import(py, "proxystore.store.exceptions", "NonProxiableTypeError")?;
        let message = format!(
            "{} cannot be proxied: `is` and truth tests on it would be wrong. \
             Pass it as it is, or use skip_nonproxiable=True to get it back unchanged.",
            obj.repr()?
        );
        Ok(PyErr::from_value(class.call1((message,))?))
    };
    raise().unwrap_or_else(|failure| failure)
}
