//! Immutable objects by reference: within one process, `bytes` and `str` need no copy at all.

use proxystore::Blob;
use proxystore::blob::Region;
use pyo3::prelude::*;
use std::any::Any;
use std::ptr::NonNull;

/// A `bytes` or `str` whose memory a payload lies in. A connector within this process may keep
/// it in place of the bytes.
pub(super) struct Owner {
    object: Py<PyAny>,
    start: NonNull<u8>,
    len: usize,
    /// Whether the object was made by a user's own serializer, and is to go to the deserializer.
    foreign: bool,
}

// SAFETY: the memory is immutable and stays in place while the reference is held.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Owner {
    /// # Safety
    /// `start..start + len` must be the memory of `object`, which must never change it.
    pub(super) unsafe fn new(
        object: Py<PyAny>,
        start: *const u8,
        len: usize,
        foreign: bool,
    ) -> Self {
        Self {
            object,
            start: NonNull::new(start.cast_mut()).unwrap_or(NonNull::dangling()),
            len,
            foreign,
        }
    }

    /// The very object that was put, if the connector kept it.
    pub(super) fn object_of<'py>(py: Python<'py>, blob: &Blob) -> Option<Bound<'py, PyAny>> {
        let owner: &Self = blob.region().as_any().downcast_ref()?;
        (!owner.foreign).then(|| owner.object.bind(py).clone())
    }

    /// The very bytes that a serializer made, if the connector kept them.
    pub(super) fn foreign_of<'py>(py: Python<'py>, blob: &Blob) -> Option<Bound<'py, PyAny>> {
        let owner: &Self = blob.region().as_any().downcast_ref()?;
        owner.foreign.then(|| owner.object.bind(py).clone())
    }
}

// SAFETY: immutable memory of an object that this holds; not offered for writing.
unsafe impl Region for Owner {
    fn start(&self) -> NonNull<u8> {
        self.start
    }
    fn len(&self) -> usize {
        self.len
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
