//! The hot half of `proxystore.store.Store`: put, get, proxy, evict.
//!
//! The public class (`proxystore.store.base.Store`) derives from this one and adds what is called
//! seldom: configuration, closing, futures, ownership.

use crate::cache::PyLruCache;
use crate::codec::{self, Encoded};
use crate::connector::{Backend, PyNativeConnector};
use crate::factory::PyStoreFactory;
use crate::metrics::{self, Recorder, Span};
use crate::proxy;
use proxystore::Access;
use proxystore::single_flight::{Entry, SingleFlight};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Arc, OnceLock};

/// After so many failures of others that it waited for, a get fetches for itself.
const PATIENCE: usize = 2;

/// Hashes of longer text and bytes are not cached in a proxy: computing one reads every byte.
const LONGEST_HASHED: usize = 64 << 10;

pub(crate) struct Opened {
    name: Py<PyString>,
    pub(crate) backend: Backend,
    connector: Py<PyAny>,
    serializer: Option<Py<PyAny>>,
    pub(crate) deserializer: Option<Py<PyAny>>,
    pub(crate) cache: Py<PyLruCache>,
    populate_target: bool,
    /// None if metrics are off.
    recorder: Option<Recorder>,
    /// What a proxy carries to reopen this store elsewhere: made at the first need, and then kept
    /// if the connector is one of the core, whose configuration does not change.
    recipe: PyOnceLock<Py<PyTuple>>,
    flights: SingleFlight<String, Arc<Py<PyAny>>>,
}

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

    /// An object as a frame: by the serializer of the call, of the store, or our own codecs.
    pub(crate) fn encode(
        opened: &Opened,
        obj: &Bound<'_, PyAny>,
        serializer: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Encoded> {
        let py = obj.py();
        match serializer.or(opened.serializer.as_ref().map(|own| own.bind(py))) {
            Some(serializer) => codec::encode_foreign(&serializer.call1((obj,))?),
            None => codec::encode(obj),
        }
    }

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
        // A key that is not one text is not shared: such connectors are rare.
        let Some(name) = flight_name(key) else {
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
                let obj = codec::decode_view(py, &blob)?;
                metrics::part(span, "deserialize");
                return Ok(Some(obj));
            }
            None => codec::decode(py, &blob)?,
        };
        metrics::part(span, "deserialize");
        opened.cache.get().insert(key, &obj, size)?;
        Ok(Some(obj))
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
        opened.backend.evict(key)?;
        metrics::part(&mut span, "connector");
        opened.cache.get().remove(key)?;
        metrics::end(span, key)
    }

    fn put_object<'py>(
        slf: &Bound<'py, Self>,
        obj: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let opened = slf.get().opened()?;
        let mut span = slf.get().measure("store.put");
        let encoded = Self::encode(opened, obj, serializer)?;
        metrics::part(&mut span, "serialize");
        let key = opened.backend.put(py, &encoded, kwargs)?;
        if let Some(mut span) = span {
            span.part("connector");
            span.size(encoded.total_len(py));
            span.end(&key)?;
        }
        if let Some(lifetime) = lifetime {
            attach(lifetime, &key, slf)?;
        }
        Ok(key)
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
    ) -> PyResult<()> {
        let backend = match (native, key_class) {
            (Some(native), Some(key_class)) => {
                if !key_class.is_subclass_of::<PyTuple>()? {
                    return Err(PyTypeError::new_err(
                        "a key class must be a subclass of tuple",
                    ));
                }
                let connector = Arc::clone(&native.get().inner);
                Backend::Native {
                    connector,
                    key_class: key_class.unbind(),
                }
            }
            _ => Backend::Python {
                connector: connector.clone().unbind(),
            },
        };
        let opened = Opened {
            name: name.unbind(),
            backend,
            connector: connector.unbind(),
            serializer,
            deserializer,
            cache,
            populate_target,
            recorder: metrics.map(Recorder::new).transpose()?,
            recipe: PyOnceLock::new(),
            flights: SingleFlight::new(),
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
    /// between.
    ///
    /// Args:
    ///     obj: The object.
    ///     lifetime: Evicts the object when it ends.
    ///     serializer: Used instead of the store's.
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
    #[pyo3(signature = (obj, *, lifetime=None, serializer=None, **kwargs))]
    fn put<'py>(
        slf: &Bound<'py, Self>,
        obj: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::put_object(slf, obj, lifetime, serializer, kwargs)
    }

    /// Put several objects at once, all or none.
    ///
    /// Args:
    ///     objs: The objects.
    ///     lifetime: Evicts the objects when it ends.
    ///     serializer: Used instead of the store's.
    ///     kwargs: Passed on to the connector's `put_batch`, if it takes any.
    ///
    /// Returns:
    ///     Their keys, in order.
    #[pyo3(signature = (objs, *, lifetime=None, serializer=None, **kwargs))]
    fn put_batch<'py>(
        slf: &Bound<'py, Self>,
        objs: &Bound<'py, PyAny>,
        lifetime: Option<&Bound<'py, PyAny>>,
        serializer: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = slf.py();
        let opened = slf.get().opened()?;
        let mut span = slf.get().measure("store.put_batch");
        let encoded = objs
            .try_iter()?
            .map(|obj| Self::encode(opened, &obj?, serializer))
            .collect::<PyResult<Vec<_>>>()?;
        metrics::part(&mut span, "serialize");
        let keys = opened.backend.put_batch(py, &encoded, kwargs)?;
        if let Some(mut span) = span {
            span.part("connector");
            span.size(encoded.iter().map(|one| one.total_len(py)).sum());
            span.end(PyTuple::new(py, &keys)?.as_any())?;
        }
        if let Some(lifetime) = lifetime {
            keys.iter().try_for_each(|key| attach(lifetime, key, slf))?;
        }
        Ok(keys)
    }

    #[pyo3(signature = (key, obj, *, serializer=None))]
    fn _set<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        obj: &Bound<'py, PyAny>,
        serializer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let opened = self.opened()?;
        let mut span = self.measure("store.set");
        let encoded = Self::encode(opened, obj, serializer)?;
        metrics::part(&mut span, "serialize");
        opened.backend.set(key.py(), key, &encoded)?;
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

    fn _evict_batch(&self, py: Python<'_>, keys: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
        let opened = self.opened()?;
        let mut span = self.measure("store.evict_batch");
        opened.backend.evict_batch(py, &keys)?;
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
    #[pyo3(signature = (obj, *, evict=false, lifetime=None, serializer=None, deserializer=None, populate_target=None, skip_nonproxiable=false, **kwargs))]
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
        let key = Self::put_object(slf, obj, lifetime, serializer, kwargs)?;
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
            attach(lifetime, key, slf)?;
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

/// What stands for a key while it is fetched.
fn flight_name(key: &Bound<'_, PyAny>) -> Option<String> {
    let fields = key.cast::<PyTuple>().ok()?;
    let name = fields.get_item(0).ok()?;
    let name = name.cast::<PyString>().ok()?;
    (fields.len() == 1).then(|| name.to_string_lossy().into_owned())
}

/// Hands a key over to a lifetime.
fn attach(
    lifetime: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    store: &Bound<'_, PyStore>,
) -> PyResult<()> {
    let py = key.py();
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "store"), store)?;
    lifetime
        .call_method(intern!(py, "add_key"), (key,), Some(&kwargs))
        .map(drop)
}

/// What `hash` of an unresolved proxy will answer: a number, or the error for an unhashable
/// target; None where computing it would read megabytes.
fn cached_hash<'py>(target: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
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

fn access_of(name: Option<&str>) -> PyResult<Access> {
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

fn non_proxiable(obj: &Bound<'_, PyAny>) -> PyErr {
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
