//! Streams: the core's batches, and its messages with Python's objects in them.

mod batches;
mod inline;
mod packed;
mod receive;
mod send;

pub(crate) use inline::decode_inline;

use pyo3::prelude::*;

/// Adds the room's names to the module.
pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<batches::PyBatches>()?;
    m.add_function(wrap_pyfunction!(inline::inline_proxy, m)?)?;
    m.add_function(wrap_pyfunction!(packed::pack, m)?)?;
    m.add_function(wrap_pyfunction!(packed::unpack, m)?)?;
    m.add_function(wrap_pyfunction!(receive::read_message, m)?)?;
    m.add_function(wrap_pyfunction!(send::put_or_frame, m)?)?;
    m.add_function(wrap_pyfunction!(send::put_message, m)?)?;
    m.add_function(wrap_pyfunction!(send::write_message, m)?)?;
    Ok(())
}

/// What an event is, as Python sees it in a row.
mod kind {
    /// The end of the stream.
    pub(super) const END: u8 = 0;
    /// An object of a topic without a store.
    pub(super) const VALUE: u8 = 1;
    /// The frame of an object of a topic with a store.
    pub(super) const INLINE: u8 = 2;
    /// The key of an object in a store.
    pub(super) const KEY: u8 = 3;
}
