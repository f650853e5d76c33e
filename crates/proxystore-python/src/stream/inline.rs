//! Small objects that travel inside an event of a stream instead of through a connector.

use crate::codec::{self, BlobMemory, Source};
use crate::factory::PyStoreFactory;
use crate::proxy;
use proxystore::Blob;
use proxystore::frame::{Codec, Frame};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The proxy of an object that came as a frame in the event. It is resolved already, unless decoding
/// may import packages: who only passes the proxy on need not have them.
#[pyfunction]
pub(super) fn inline_proxy<'py>(
    frame: &Bound<'py, PyAny>,
    recipe: Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let blob = match frame.cast_exact::<BlobMemory>() {
        Ok(memory) => memory.get().blob().clone(),
        Err(_) => Source::of_python(frame)?.blob().clone(),
    };
    let factory = PyStoreFactory::of_inline(py, blob.clone(), recipe)?;
    let mut target = None;
    if is_at_hand(py, &blob)? {
        // What cannot be decoded says so when it is used, like what lies in a store.
        target = factory.get().decode_inline(py).ok();
    }
    proxy::new_proxy(py, factory.into_any(), None, None, target)
}

fn is_at_hand(py: Python<'_>, blob: &Blob) -> PyResult<bool> {
    let Ok(frame) = Frame::parse(blob) else {
        return Ok(false);
    };
    Ok(match frame.codec() {
        Codec::Bytes | Codec::Str | Codec::MessagePack => true,
        Codec::Ndarray => codec::is_numpy_loaded(py)?,
        _ => false,
    })
}
