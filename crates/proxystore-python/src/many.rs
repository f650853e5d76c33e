//! Gets of several keys at once, for tasks that asked side by side.

use crate::codec;
use crate::store::{Opened, PyStore, failed_deserializer};
use proxystore::{Access, Blob};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The objects of several keys, from the cache or in one batch of the connector. For each, in
/// order: a tuple of the object, None if there is none, or the exception that decoding it raised.
#[pyfunction]
pub(crate) fn get_many<'py>(
    store: &Bound<'py, PyStore>,
    keys: Vec<Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = store.py();
    let opened = store.get().opened()?;
    let cache = opened.cache.get();
    let mut results = Vec::with_capacity(keys.len());
    let mut absent = Vec::new();
    let mut places = Vec::new();
    for (place, key) in keys.into_iter().enumerate() {
        if let Some(hit) = cache.lookup(py, &key)? {
            results.push(PyTuple::new(py, [hit])?.into_any());
        } else {
            results.push(py.None().into_bound(py));
            absent.push(key);
            places.push(place);
        }
    }
    if absent.is_empty() {
        return Ok(results);
    }
    let blobs = opened.backend.get_batch(py, &absent, Access::Auto)?;
    for ((place, key), blob) in places.into_iter().zip(&absent).zip(blobs) {
        let Some(blob) = blob else { continue };
        let size = blob.len();
        results[place] = match decode(py, opened, blob) {
            Ok(obj) => {
                cache.insert(key, &obj, size)?;
                PyTuple::new(py, [obj])?.into_any()
            }
            Err(error) => error.into_value(py).into_bound(py).into_any(),
        };
    }
    Ok(results)
}

fn decode<'py>(py: Python<'py>, opened: &Opened, blob: Blob) -> PyResult<Bound<'py, PyAny>> {
    match &opened.deserializer {
        Some(deserializer) => {
            let bytes = codec::bytes_for_deserializer(py, &blob)?;
            drop(blob);
            deserializer
                .bind(py)
                .call1((bytes,))
                .map_err(|cause| failed_deserializer(py, cause))
        }
        None => codec::decode(py, &blob, opened.pickles),
    }
}
