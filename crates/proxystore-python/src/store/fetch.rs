//! Getting an object: from the cache, from a fetch of another thread, or from the connector.

use super::flight_name::flight_name;
use super::{Opened, PyStore};
use crate::codec;
use crate::metrics::{self, Span};
use proxystore::Access;
use proxystore::single_flight::Entry;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After so many failures of others that it waited for, a get fetches for itself.
const PATIENCE: usize = 2;

impl PyStore {
    /// The object of a key, from the cache or the connector.
    pub(crate) fn fetch<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        deserializer: Option<&Bound<'py, PyAny>>,
        access: Access,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut span = self.measure("store.get");
        let found = self.fetch_measured(key, deserializer, access, &mut span)?;
        metrics::end(span, key)?;
        Ok(found)
    }

    fn fetch_measured<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        deserializer: Option<&Bound<'py, PyAny>>,
        access: Access,
        span: &mut Option<Span<'_>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let opened = self.opened()?;
        let hit = opened.cache.get().lookup(py, key)?;
        if let Some(span) = span {
            span.hit(hit.is_some());
        }
        if hit.is_some() {
            return Ok(hit);
        }
        // A view takes no writes: it is its caller's alone, like what was asked for on purpose.
        if access == Access::View {
            return Self::load(opened, key, deserializer, access, span);
        }
        let Some(name) = flight_name(key)? else {
            return Self::load(opened, key, deserializer, access, span);
        };
        for _ in 0..PATIENCE {
            match opened.flights.enter(&name) {
                Entry::Lead(lead) => {
                    let found = Self::load(opened, key, deserializer, access, span)?;
                    if let Some(obj) = &found {
                        lead.complete(Arc::new(obj.clone().unbind()));
                    }
                    return Ok(found);
                }
                Entry::Alone => break,
                Entry::Wait(wait) => {
                    // The leader needs the GIL to decode: wait without it, and look for Ctrl-C.
                    let landed =
                        py.detach(|| wait.wait(|| Python::attach(|py| py.check_signals())))?;
                    if let Some(obj) = landed {
                        return Ok(Some(obj.bind(py).clone()));
                    }
                }
            }
        }
        Self::load(opened, key, deserializer, access, span)
    }

    /// Gets and decodes, and fills the cache.
    fn load<'py>(
        opened: &Opened,
        key: &Bound<'py, PyAny>,
        deserializer: Option<&Bound<'py, PyAny>>,
        access: Access,
        span: &mut Option<Span<'_>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let changes = opened.changes.load(Ordering::Relaxed);
        let found = opened.backend.get(py, key, access)?;
        metrics::part(span, "connector");
        let Some(blob) = found else {
            return Ok(None);
        };
        let size = blob.len();
        if let Some(span) = span {
            span.size(size);
        }
        let obj = match deserializer.or(opened.deserializer.as_ref().map(|own| own.bind(py))) {
            Some(deserializer) => {
                let bytes = codec::bytes_for_deserializer(py, &blob)?;
                drop(blob);
                deserializer
                    .call1((bytes,))
                    .map_err(|cause| failed_deserializer(py, cause))?
            }
            None if access == Access::View => {
                let obj = codec::decode_view(py, &blob, opened.pickles)?;
                metrics::part(span, "deserialize");
                return Ok(Some(obj));
            }
            None => codec::decode(py, &blob, opened.pickles)?,
        };
        metrics::part(span, "deserialize");
        if opened.changes.load(Ordering::Relaxed) == changes {
            opened.cache.get().insert(key, &obj, size)?;
        }
        Ok(Some(obj))
    }
}

pub(super) fn access_of(name: Option<&str>) -> PyResult<Access> {
    match name {
        None | Some("auto") => Ok(Access::Auto),
        Some("copy") => Ok(Access::Copy),
        Some("cow") => Ok(Access::Cow),
        Some("view") => Ok(Access::View),
        Some(other) => Err(PyValueError::new_err(format!(
            "access={other:?} is not known: use 'auto', 'copy', 'cow' or 'view'"
        ))),
    }
}

pub(crate) fn failed_deserializer(py: Python<'_>, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<pyo3::exceptions::PyException>(py) {
        return cause; // KeyboardInterrupt and its like
    }
    let raise = || -> PyResult<PyErr> {
        let class = py
            .import("proxystore.exceptions")?
            .getattr("SerializationError")?;
        let message = format!("The deserializer of this object failed: {cause}");
        let error = class.call1((message,))?;
        error.setattr("__cause__", cause.clone_ref(py).into_value(py))?;
        Ok(PyErr::from_value(error))
    };
    raise().unwrap_or_else(|failure| failure)
}
