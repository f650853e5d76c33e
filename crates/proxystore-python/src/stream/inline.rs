//! Small objects that travel inside an event of a stream instead of through a connector.

use crate::codec::{self, BlobMemory, Pickles, Source};
use crate::error::to_python;
use crate::factory::{PyStoreFactory, registry};
use crate::proxy;
use crate::store::failed_deserializer;
use proxystore::Blob;
use proxystore::frame::{Codec, Frame};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

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

/// An object that came along, by its store's deserializer if it has one.
///
/// # Errors
/// `UntrustedFrameError` if the store takes no such object.
pub(crate) fn decode_inline<'py>(
    frame: &Blob,
    recipe: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = recipe.py();
    if demand(recipe, "encryption", false)? || demand(recipe, "signing", false)? {
        let name = recipe.get_item(0)?;
        let error = proxystore::stream::sealed(&name.str()?.to_string_lossy());
        return Err(to_python(py, error));
    }
    let settings = recipe.get_item(3)?;
    if let Ok(settings) = settings.cast::<PyDict>()
        && let Some(deserializer) = settings.get_item(intern!(py, "deserializer"))?
        && !deserializer.is_none()
    {
        let bytes = codec::bytes_for_deserializer(py, frame)?;
        return deserializer
            .call1((bytes,))
            .map_err(|cause| failed_deserializer(py, cause));
    }
    codec::decode(py, frame, pickles_of(recipe)?)
}

/// Whether what came along with a store's event may be a pickle.
pub(super) fn pickles_of(recipe: &Bound<'_, PyTuple>) -> PyResult<Pickles> {
    demand(recipe, "pickle", true).map(Pickles::of)
}

/// What a store wants: the one that is open here, since an event may be forged.
fn demand(recipe: &Bound<'_, PyTuple>, of: &str, default: bool) -> PyResult<bool> {
    let py = recipe.py();
    let demands = match registry(py).get_item(recipe.get_item(0)?)? {
        Some(store) => store.getattr(intern!(py, "_sealing"))?,
        None => recipe.get_item(3)?,
    };
    match demands.cast::<PyDict>() {
        Ok(demands) => demands
            .get_item(of)?
            .map_or(Ok(default), |it| it.is_truthy()),
        Err(_) => Ok(default),
    }
}
