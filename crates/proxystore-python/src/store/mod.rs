//! The hot half of `proxystore.store.Store`: put, get, proxy, evict.
//!
//! The public class (`proxystore.store.base.Store`) derives from this one and adds what is called
//! seldom: configuration, closing, futures, ownership.

mod fetch;
mod flight_name;
mod opened;
mod put;

use crate::backend::Backend;
use crate::cache::PyLruCache;
use crate::codec::Pickles;
use crate::connector::PyNativeConnector;
use crate::factory::PyStoreFactory;
use crate::metrics::{self, Recorder, Span};
use crate::proxy;
use crate::seal::PySeal;
use fetch::access_of;
pub(crate) use fetch::failed_deserializer;
pub(crate) use opened::Opened;
use proxystore::single_flight::SingleFlight;
use put::{attach, cached_hash, lease, lease_of, non_proxiable};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

#[pyclass(name = "StoreBase", module = "proxystore._core", subclass, frozen)]
pub(crate) struct PyStore {
    opened: OnceLock<Opened>,
}

impl PyStore {
    pub(crate) fn opened(&self) -> PyResult<&Opened> {
        self.opened.get().ok_or_else(|| {
            PyRuntimeError::new_err(
                "this Store was never opened: a subclass must call super().__init__(name, connector)",
            )
        })
    }

    /// Begins to measure an operation, if metrics are on.
    pub(crate) fn measure(&self, operation: &'static str) -> Option<Span<'_>> {
        let recorder = self.opened.get()?.recorder.as_ref()?;
        Some(recorder.begin(operation))
    }

    fn recipe(slf: &Bound<'_, Self>) -> PyResult<Py<PyTuple>> {
        let py = slf.py();
        let opened = slf.get().opened()?;
        let make = || -> PyResult<Py<PyTuple>> {
            let made = slf.call_method0(intern!(py, "_make_recipe"))?;
            Ok(made.cast_into::<PyTuple>()?.unbind())
        };
        match &opened.backend {
            Backend::Native { .. } => Ok(opened.recipe.get_or_try_init(py, make)?.clone_ref(py)),
            Backend::Python { .. } => make(),
        }
    }

    pub(crate) fn evict_key(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let opened = self.opened()?;
        let mut span = self.measure("store.evict");
        opened.change(|| opened.backend.evict(key))?;
        metrics::part(&mut span, "connector");
        opened.cache.get().remove(key)?;
        metrics::end(span, key)
    }
}

#[pymethods]
impl PyStore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            opened: OnceLock::new(),
        }
    }

    /// Sets everything; called once, by `Store.__init__`.
    #[expect(
        clippy::too_many_arguments,
        reason = "called from one place, by position"
    )]
    fn _open(
        &self,
        name: Bound<'_, PyString>,
        connector: Bound<'_, PyAny>,
        native: Option<Bound<'_, PyNativeConnector>>,
        key_class: Option<Bound<'_, PyType>>,
        serializer: Option<Py<PyAny>>,
        deserializer: Option<Py<PyAny>>,
        cache: Py<PyLruCache>,
        populate_target: bool,
        metrics: Option<Bound<'_, PyAny>>,
        seal: Option<Bound<'_, PySeal>>,
        checksum: bool,
        pickle: bool,
    ) -> PyResult<()> {
        let seal = seal.map(|seal| Arc::clone(&seal.get().inner));
        let backend = Backend::of(native, key_class, &connector, seal)?;
        let recorder = Recorder::new(name.py(), &name.to_string_lossy(), metrics)?;
        let opened = Opened {
            name: name.unbind(),
            backend,
            connector: connector.unbind(),
            serializer,
            deserializer,
            cache,
            populate_target,
            checksum,
            pickles: Pickles::of(pickle),
            recorder,
            recipe: PyOnceLock::new(),
            flights: SingleFlight::new(),
            changes: AtomicU64::new(0),
        };
        self.opened
            .set(opened)
            .map_err(|_| PyRuntimeError::new_err("this Store is open already"))
    }

    /// Name of the store.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        Ok(self.opened()?.name.clone_ref(py))
    }

    /// Where the objects are.
    #[getter]
    fn connector(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.opened()?.connector.clone_ref(py))
    }

    /// Objects that were resolved lately.
    #[getter]
    fn cache(&self, py: Python<'_>) -> PyResult<Py<PyLruCache>> {
        Ok(self.opened()?.cache.clone_ref(py))
    }

    /// The store's own serializer, or None.
    #[getter]
    fn serializer(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self
            .opened()?
            .serializer
            .as_ref()
            .map(|own| own.clone_ref(py)))
    }

    /// The store's own deserializer, or None.
    #[getter]
    fn deserializer(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self
            .opened()?
            .deserializer
            .as_ref()
            .map(|own| own.clone_ref(py)))
    }

    #[getter]
    fn _populate_target(&self) -> PyResult<bool> {
        Ok(self.opened()?.populate_target)
    }

    /// Put an object into the store.
    ///
    /// It is stored as it is now: changing it later changes nothing there. Objects that hold their
    /// data in buffers (arrays, tables, bytes) are written from those buffers, without a copy
    /// between: what another thread writes there before this returns may be stored in part.
    /// `snapshot` excludes that.
    ///
    /// Args:
    ///     obj: The object.
    ///     lifetime: Evicts the object when it ends.
    ///     serializer: Used instead of the store's.
    ///     snapshot: Whether the object's buffers are copied before any other thread of Python's
    ///         can run, which costs one copy more. It does not hold off code that writes without
    ///         the interpreter lock, such as numpy's operations on large arrays.
    ///     kwargs: Passed on to the connector's `put`, if it takes any.
    ///
    /// Returns:
    ///     Its key.
    ///
    /// Raises:
    ///     SerializationError: If the object cannot be turned into bytes.
    ///     ConnectorError: If it could not be stored; nothing of it is left then.
    ///     TypeError: If a serializer of one's own returns no bytes.
    ///
    /// Example:
    ///     >>> from proxystore.connectors.local import LocalConnector
    ///     >>> from proxystore.store import Store
    ///     >>> store = Store('example', LocalConnector())
    ///     >>> key = store.put({'a': 1})
    ///     >>> store.get(key)
    ///     {'a': 1}
    #[pyo3(signature = (obj, *, lifetime=None, serializer=None, snapshot=false, **kwargs))]
    fn put<'py>(
        slf: &Bound<'py, Self>,
        obj: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        snapshot: bool,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::put_object(slf, obj, lifetime, serializer, snapshot, kwargs)
    }

    /// Put several objects at once, all or none.
    ///
    /// Args:
    ///     objs: The objects.
    ///     lifetime: Evicts the objects when it ends.
    ///     serializer: Used instead of the store's.
    ///     snapshot: Whether each object's buffers are copied first, see `put`.
    ///     kwargs: Passed on to the connector's `put_batch`, if it takes any.
    ///
    /// Returns:
    ///     Their keys, in order.
    #[pyo3(signature = (objs, *, lifetime=None, serializer=None, snapshot=false, **kwargs))]
    fn put_batch<'py>(
        slf: &Bound<'py, Self>,
        objs: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        snapshot: bool,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = slf.py();
        let opened = slf.get().opened()?;
        let mut span = slf.get().measure("store.put_batch");
        let encoded = objs
            .try_iter()?
            .map(|obj| Self::encode(opened, &obj?, serializer, snapshot))
            .collect::<PyResult<Vec<_>>>()?;
        metrics::part(&mut span, "serialize");
        let lease = lease_of(opened, lifetime)?;
        let keys = opened.backend.put_batch(py, &encoded, kwargs, lease)?;
        if let Some(mut span) = span {
            span.part("connector");
            span.size(encoded.iter().map(|one| one.total_len(py)).sum());
            span.end(PyTuple::new(py, &keys)?.as_any())?;
        }
        if let Some(lifetime) = lifetime {
            keys.iter()
                .try_for_each(|key| attach(lifetime, key, slf, lease))?;
        }
        Ok(keys)
    }

    #[pyo3(signature = (key, obj, *, serializer=None, snapshot=false))]
    fn _set<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        obj: &Bound<'py, PyAny>,
        serializer: Option<&Bound<'py, PyAny>>,
        snapshot: bool,
    ) -> PyResult<()> {
        let opened = self.opened()?;
        let mut span = self.measure("store.set");
        let encoded = Self::encode(opened, obj, serializer, snapshot)?;
        metrics::part(&mut span, "serialize");
        opened.change(|| opened.backend.set(key.py(), key, &encoded))?;
        opened.cache.get().remove(key)?;
        if let Some(mut span) = span {
            span.part("connector");
            span.size(encoded.total_len(key.py()));
            span.end(key)?;
        }
        Ok(())
    }

    /// Get an object by its key, from the cache or the connector.
    ///
    /// The object is the caller's to change: arrays are writable, and nobody else sees it. (Who
    /// asks again in this process while it is in the cache gets the same object, though.)
    ///
    /// Args:
    ///     key: What `put` returned.
    ///     deserializer: Used instead of the store's.
    ///     default: Returned if there is no such object.
    ///     access: What the caller will do with a large array: `'copy'` overwrite most of it,
    ///         `'cow'` read most of it, `'view'` only read it; `'auto'` if not known.
    ///
    /// Returns:
    ///     The object, or `default`.
    ///
    /// Raises:
    ///     SerializationError: If the stored bytes cannot be turned into an object.
    ///     FrameError: If they are cut off or were changed.
    ///     ConnectorError: If the store cannot be reached.
    #[pyo3(signature = (key, *, deserializer=None, default=None, access=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        deserializer: Option<&Bound<'py, PyAny>>,
        default: Option<Bound<'py, PyAny>>,
        access: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self
            .fetch(key, deserializer, access_of(access)?)?
            .or(default))
    }

    /// Tell whether there is an object of this key, in the cache or the connector.
    ///
    /// Args:
    ///     key: What `put` returned.
    fn exists(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let opened = self.opened()?;
        let mut span = self.measure("store.exists");
        let exists = opened.cache.get().contains(key)? || {
            let exists = opened.backend.exists(key)?;
            metrics::part(&mut span, "connector");
            exists
        };
        metrics::end(span, key)?;
        Ok(exists)
    }

    /// Remove an object from the store and the cache, if it is there.
    ///
    /// Args:
    ///     key: What `put` returned.
    fn evict(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.evict_key(key)
    }

    fn _wait(&self, key: &Bound<'_, PyAny>, interval: f64, left: Option<f64>) -> PyResult<bool> {
        self.opened()?.backend.wait(key, interval, left)
    }

    fn _touch(&self, py: Python<'_>, keys: Vec<Bound<'_, PyAny>>, seconds: f64) -> PyResult<()> {
        self.opened()?.backend.touch(py, &keys, lease(seconds))
    }

    fn _evict_batch(&self, py: Python<'_>, keys: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
        let opened = self.opened()?;
        let mut span = self.measure("store.evict_batch");
        opened.change(|| opened.backend.evict_batch(py, &keys))?;
        metrics::part(&mut span, "connector");
        keys.iter()
            .try_for_each(|key| opened.cache.get().remove(key))?;
        match span {
            Some(span) => span.end(PyTuple::new(py, &keys)?.as_any()),
            None => Ok(()),
        }
    }

    /// Tell whether the object of this key is in the cache.
    ///
    /// Args:
    ///     key: What `put` returned.
    fn is_cached(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.opened()?.cache.get().contains(key)
    }

    /// Put an object and return a proxy of it.
    ///
    /// Args:
    ///     obj: The object.
    ///     evict: Whether the object is evicted once the proxy is resolved (elsewhere: here it holds
    ///         the object already).
    ///     lifetime: Evicts the object when it ends; excludes `evict`.
    ///     serializer: Used instead of the store's.
    ///     deserializer: Used by the proxy instead of the store's.
    ///     populate_target: Whether the proxy holds the object already, in this process; as the
    ///         store was made if not given.
    ///     skip_nonproxiable: Whether `None`, `True` and `False` are returned as they are instead of
    ///         raising.
    ///     snapshot: Whether the object's buffers are copied first, see `put`.
    ///     kwargs: Passed on to the connector's `put`, if it takes any.
    ///
    /// Returns:
    ///     The proxy.
    ///
    /// Raises:
    ///     NonProxiableTypeError: For `None`, `True` and `False`.
    ///     ValueError: If both `evict` and `lifetime` are given.
    ///
    /// Example:
    ///     >>> from proxystore.connectors.local import LocalConnector
    ///     >>> from proxystore.store import Store
    ///     >>> p = Store('example', LocalConnector()).proxy('hello')
    ///     >>> p.upper()
    ///     'HELLO'
    #[pyo3(signature = (obj, *, evict=false, lifetime=None, serializer=None, deserializer=None, populate_target=None, skip_nonproxiable=false, snapshot=false, **kwargs))]
    #[expect(clippy::too_many_arguments, reason = "the public signature")]
    fn proxy<'py>(
        slf: &Bound<'py, Self>,
        obj: &Bound<'py, PyAny>,
        evict: bool,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        deserializer: Option<&Bound<'py, PyAny>>,
        populate_target: Option<bool>,
        skip_nonproxiable: bool,
        snapshot: bool,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if obj.is_none() || obj.is_instance_of::<PyBool>() {
            return if skip_nonproxiable {
                Ok(obj.clone())
            } else {
                Err(non_proxiable(obj))
            };
        }
        if evict && lifetime.is_some() {
            return Err(PyValueError::new_err(
                "evict=True and lifetime= exclude one another: a lifetime evicts by itself",
            ));
        }
        let span = slf.get().measure("store.proxy");
        let key = Self::put_object(slf, obj, lifetime, serializer, snapshot, kwargs)?;
        let populate = match populate_target {
            Some(populate) => populate,
            None => slf.get().opened()?.populate_target,
        };
        let proxy = Self::_proxy_of(slf, &key, evict, deserializer, populate.then_some(obj))?;
        metrics::end(span, &key)?;
        Ok(proxy)
    }

    /// Return a proxy of an object that is in the store.
    ///
    /// Args:
    ///     key: What `put` returned.
    ///     evict: Whether the object is evicted once the proxy is resolved.
    ///     lifetime: Evicts the object when it ends; excludes `evict`.
    ///     deserializer: Used by the proxy instead of the store's.
    ///
    /// Returns:
    ///     The proxy, not resolved. Whether there is such an object is not asked.
    ///
    /// Raises:
    ///     ValueError: If both `evict` and `lifetime` are given.
    #[pyo3(signature = (key, *, evict=false, lifetime=None, deserializer=None))]
    fn proxy_from_key<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        evict: bool,
        lifetime: Option<&Bound<'py, PyAny>>,
        deserializer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if evict && lifetime.is_some() {
            return Err(PyValueError::new_err(
                "evict=True and lifetime= exclude one another: a lifetime evicts by itself",
            ));
        }
        if let Some(lifetime) = lifetime {
            attach(lifetime, key, slf, None)?;
        }
        Self::_proxy_of(slf, key, evict, deserializer, None)
    }

    /// A proxy of a key, holding `target` if it is given.
    #[pyo3(signature = (key, evict, deserializer, target))]
    fn _proxy_of<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        evict: bool,
        deserializer: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let recipe = Self::recipe(slf)?;
        let factory = PyStoreFactory::of_store(key, recipe, evict, deserializer)?;
        match target {
            None => proxy::new_proxy(py, factory, None, None, None),
            Some(target) => {
                let class = target.getattr(intern!(py, "__class__"))?;
                let hash = cached_hash(target)?;
                proxy::new_proxy(py, factory, Some(class), hash, Some(target.clone()))
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(opened) = self.opened.get() {
            opened.backend.visit(&visit)?;
            visit.call(&opened.connector)?;
            visit.call(&opened.cache)?;
            visit.call(&opened.serializer)?;
            visit.call(&opened.deserializer)?;
            if let Some(recorder) = &opened.recorder {
                recorder.visit(&visit)?;
            }
        }
        Ok(())
    }
}
