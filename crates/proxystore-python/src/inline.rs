//! Small objects that travel inside an event of a stream instead of through a connector.

use crate::backend::joined;
use crate::codec::{self, Pickles};
use crate::store::{PyStore, failed_deserializer};
use proxystore::Blob;
use proxystore::stream::Inlining;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Puts the objects that do not travel in the event, by the rule of [`Inlining`], as one batch.
/// Returns, in order, their keys, and for the others the frames themselves.
#[pyfunction]
pub(crate) fn put_or_frame<'py>(
    store: &Bound<'py, PyStore>,
    objs: Vec<Bound<'py, PyAny>>,
    evicts: Vec<bool>,
    below: usize,
    kept_too: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = store.py();
    let opened = store.get().opened()?;
    let mut results = Vec::with_capacity(objs.len());
    let mut large = Vec::new();
    let mut places = Vec::new();
    // What is signed or encrypted in its store does not travel beside it as it is.
    let below = if opened.backend.demands_key() {
        0
    } else {
        below
    };
    let mut inlining = Inlining::new(below).kept_too(kept_too);
    for (place, (obj, evict)) in objs.iter().zip(evicts).enumerate() {
        let encoded = PyStore::encode(opened, obj, None, false)?;
        if inlining.takes(encoded.total_len(py), evict) {
            results.push(joined(py, &encoded).into_any());
        } else {
            results.push(py.None().into_bound(py));
            large.push(encoded);
            places.push(place);
        }
    }
    let keys = match large.as_slice() {
        [] => Vec::new(),
        [one] => vec![opened.backend.put(py, one, None, None)?],
        several => opened.backend.put_batch(py, several, None, None)?,
    };
    for (place, key) in places.into_iter().zip(keys) {
        results[place] = key;
    }
    Ok(results)
}

/// The object of a frame that `put_or_frame` returned, by the store's deserializer if it has one.
/// A pickle is refused unless `pickle` is set.
#[pyfunction]
#[pyo3(signature = (frame, deserializer=None, pickle=true))]
pub(crate) fn decode_frame<'py>(
    frame: &Bound<'py, PyBytes>,
    deserializer: Option<&Bound<'py, PyAny>>,
    pickle: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let Some(deserializer) = deserializer else {
        return codec::decode_bytes(frame.as_any(), Pickles::of(pickle));
    };
    let blob = Blob::from(frame.as_bytes().to_vec());
    let bytes = codec::bytes_for_deserializer(py, &blob)?;
    deserializer
        .call1((bytes,))
        .map_err(|cause| failed_deserializer(py, cause))
}
