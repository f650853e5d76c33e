//! Connectors of the core as Python sees them.

use crate::codec::copy_to_bytes;
use crate::door::{Gil, through};
use crate::error::to_python;
use proxystore::blob::Region;
use proxystore::{Access, Capability, Connector, Key, Payload, ProcessBound};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

/// A connector of the core. Keys are plain strings here; the public classes around it give them
/// their types.
#[pyclass(name = "NativeConnector", module = "proxystore._core", frozen, weakref)]
pub(crate) struct PyNativeConnector {
    pub(crate) inner: Arc<dyn Connector>,
}

impl PyNativeConnector {
    pub(crate) fn new(connector: impl Connector) -> Self {
        Self {
            inner: Arc::new(connector),
        }
    }

    fn key(py: Python<'_>, name: &str) -> PyResult<Key> {
        Key::new(name).map_err(|error| to_python(py, error))
    }

    fn keys(py: Python<'_>, names: &[String]) -> PyResult<Vec<Key>> {
        names.iter().map(|name| Self::key(py, name)).collect()
    }
}

#[pymethods]
impl PyNativeConnector {
    /// Stores bytes under a fresh key.
    fn put(&self, obj: &Bound<'_, PyAny>) -> PyResult<String> {
        let py = obj.py();
        let bytes = Bytes::of(obj)?;
        let gil = Gil::hold_if(self.inner.is_quick(bytes.as_slice().len()));
        let payload = Payload::from_bytes(bytes.as_slice());
        Ok(through(py, gil, || self.inner.put(&payload))?.to_string())
    }

    /// Stores several bytes under fresh keys.
    fn put_batch(&self, py: Python<'_>, objs: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
        let bytes = objs.iter().map(Bytes::of).collect::<PyResult<Vec<_>>>()?;
        let payloads: Vec<_> = bytes
            .iter()
            .map(|bytes| Payload::from_bytes(bytes.as_slice()))
            .collect();
        let keys = through(py, Gil::Release, || self.inner.put_batch(&payloads))?;
        Ok(keys.iter().map(Key::to_string).collect())
    }

    /// A key for bytes that `set` brings later.
    fn new_key(&self) -> String {
        self.inner.new_key().to_string()
    }

    /// Stores bytes under a given key.
    fn set(&self, name: &str, obj: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = obj.py();
        let key = Self::key(py, name)?;
        let bytes = Bytes::of(obj)?;
        let payload = Payload::from_bytes(bytes.as_slice());
        through(py, Gil::Release, || self.inner.set(&key, &payload))
    }

    /// The bytes under a key, or None.
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let key = Self::key(py, name)?;
        let blob = through(py, Gil::Release, || self.inner.get(&key, Access::View))?;
        blob.map(|blob| copy_to_bytes(py, &blob)).transpose()
    }

    /// The bytes under several keys.
    fn get_batch<'py>(
        &self,
        py: Python<'py>,
        names: Vec<String>,
    ) -> PyResult<Vec<Option<Bound<'py, PyAny>>>> {
        let keys = Self::keys(py, &names)?;
        let blobs = through(py, Gil::Release, || {
            self.inner.get_batch(&keys, Access::View)
        })?;
        blobs
            .into_iter()
            .map(|blob| blob.map(|blob| copy_to_bytes(py, &blob)).transpose())
            .collect()
    }

    /// Whether there is something under a key.
    fn exists(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        let key = Self::key(py, name)?;
        let gil = Gil::hold_if(self.inner.is_quick(0));
        through(py, gil, || self.inner.exists(&key))
    }

    /// Removes what is under a key.
    fn evict(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let key = Self::key(py, name)?;
        through(py, Gil::Release, || self.inner.evict(&key))
    }

    /// Removes what is under several keys.
    fn evict_batch(&self, py: Python<'_>, names: Vec<String>) -> PyResult<()> {
        let keys = Self::keys(py, &names)?;
        through(py, Gil::Release, || self.inner.evict_batch(&keys))
    }

    /// Lets go of what is open; with `clear` removes all that is ours first.
    fn close(&self, py: Python<'_>, clear: bool) -> PyResult<()> {
        through(py, Gil::Release, || self.inner.close(clear))
    }

    /// The same place; what is put through it goes when this process ends.
    fn for_process(&self, py: Python<'_>) -> PyResult<Self> {
        let bound = ProcessBound::new(Arc::clone(&self.inner));
        Ok(Self::new(bound.map_err(|error| to_python(py, error))?))
    }

    /// Removes what this process put through `for_process`.
    fn evict_bound(&self, py: Python<'_>) -> PyResult<()> {
        through(py, Gil::Release, || self.inner.evict_bound())
    }

    /// What the connector can do, by name.
    fn capability<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let can: Capability = self.inner.capability();
        let dict = PyDict::new(py);
        dict.set_item("deferred_set", can.deferred_set)?;
        dict.set_item("batch", can.batch)?;
        dict.set_item("expiry", can.expiry)?;
        dict.set_item("process_bound", can.process_bound)?;
        dict.set_item("notify", can.notify)?;
        dict.set_item("cross_process", can.cross_process)?;
        dict.set_item("cross_host", can.cross_host)?;
        dict.set_item("max_len", can.max_len)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!("<NativeConnector {}>", self.inner)
    }
}

/// The memory of a bytes-like object, for as long as this lives.
pub(crate) struct Bytes(PyBuffer<u8>);

impl Bytes {
    pub(crate) fn of(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refuse = || {
            let name = obj
                .get_type()
                .name()
                .map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!(
                "a connector stores bytes, a bytearray or a contiguous memoryview of bytes, not {name}"
            ))
        };
        match PyBuffer::<u8>::get(obj) {
            Ok(buffer) if buffer.is_c_contiguous() => Ok(Self(buffer)),
            _ => Err(refuse()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.0.len_bytes() == 0 {
            return &[]; // the pointer of an empty buffer may be null
        }
        // SAFETY: the buffer is C-contiguous, of `len_bytes` bytes, and its exporter keeps it in
        // place until it is released. A program that writes into a bytearray while another thread
        // stores it gets either value of each byte, as with any memcpy.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast(), self.0.len_bytes()) }
    }
}

// SAFETY: the buffer stays in place until it is released, and is not offered for writing.
unsafe impl Region for Bytes {
    fn start(&self) -> NonNull<u8> {
        NonNull::from(self.as_slice()).cast()
    }
    fn len(&self) -> usize {
        self.0.len_bytes()
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
