//! The factory in a store's proxies: a key, and what is needed to reopen the store.

use crate::codec;
use crate::metrics;
use crate::proxy;
use crate::store::PyStore;
use crate::stream;
use proxystore::{Access, Blob};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;
use std::sync::{Mutex, OnceLock};

/// Resolves to the object of a key in a store, reopening the store where it is not registered.
///
/// The public class `proxystore.store.factory.StoreFactory` derives from this one; the proxies of
/// a store hold that class.
#[pyclass(
    name = "StoreFactoryBase",
    module = "proxystore._core",
    subclass,
    frozen
)]
pub(crate) struct PyStoreFactory {
    /// Empty only between `__new__` and `__setstate__` of a pickle of ProxyStore 1.x.
    parts: OnceLock<Parts>,
    /// The running fetch that `resolve_async` started: an object with `result()`.
    pending: Mutex<Option<Py<PyAny>>>,
    /// The object itself, if it came along: see `proxystore.stream._inline`.
    frame: OnceLock<Blob>,
}

struct Parts {
    key: Py<PyAny>,
    recipe: Py<PyTuple>,
    evict: bool,
    deserializer: Option<Py<PyAny>>,
}

static FACTORY_CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static REGISTRY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// The stores that are registered in this process, by name.
pub(crate) fn registry(py: Python<'_>) -> &Bound<'_, PyDict> {
    REGISTRY
        .get_or_init(py, || PyDict::new(py).unbind())
        .bind(py)
}

impl PyStoreFactory {
    /// A factory of the public class, without its `__init__` (which takes a pydantic model).
    pub(crate) fn of_store<'py>(
        key: &Bound<'py, PyAny>,
        recipe: Py<PyTuple>,
        evict: bool,
        deserializer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let class = FACTORY_CLASS.import(py, "proxystore.store.factory", "StoreFactory")?;
        // SAFETY: `tp_new` of a class is called with itself, a tuple and no keywords.
        unsafe {
            let arguments = PyTuple::new(
                py,
                [
                    key.clone(),
                    recipe.into_bound(py).into_any(),
                    evict.into_pyobject(py)?.to_owned().into_any(),
                    deserializer.map_or_else(|| py.None().into_bound(py), Bound::clone),
                ],
            )?;
            let kind = class.as_type_ptr();
            let made = match (*kind).tp_new {
                Some(new) => new(kind, arguments.as_ptr(), std::ptr::null_mut()),
                None => std::ptr::null_mut(),
            };
            Bound::from_owned_ptr_or_err(py, made)
        }
    }

    /// A factory of an object that came along as a frame.
    pub(crate) fn of_inline<'py>(
        py: Python<'py>,
        frame: Blob,
        recipe: Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, Self>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.import(py, "proxystore.stream._inline", "InlineFactory")?;
        let arguments = (PyTuple::empty(py), recipe, true).into_pyobject(py)?;
        // SAFETY: the `tp_new` of our own class is given a subclass of it, which adds nothing but a
        // dictionary, and a tuple of arguments.
        let made = unsafe {
            let new = (*Self::type_object_raw(py)).tp_new;
            let made = new.map_or(std::ptr::null_mut(), |new| {
                new(
                    class.as_type_ptr(),
                    arguments.as_ptr(),
                    std::ptr::null_mut(),
                )
            });
            Bound::from_owned_ptr_or_err(py, made)?
        };
        let made = made.cast_into::<Self>()?;
        let _ = made.get().frame.set(frame);
        Ok(made)
    }

    /// The object that came along, by the store's deserializer if it has one.
    pub(crate) fn decode_inline<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (Some(frame), parts) = (self.frame.get(), self.parts()?) else {
            return Err(PyTypeError::new_err("this factory holds no object"));
        };
        stream::decode_inline(frame, parts.recipe.bind(py))
    }

    fn parts(&self) -> PyResult<&Parts> {
        self.parts
            .get()
            .ok_or_else(|| PyTypeError::new_err("StoreFactory() needs a key and a store_config"))
    }

    fn store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let recipe = self.parts()?.recipe.bind(py);
        if let Some(store) = registry(py).get_item(recipe.get_item(0)?)? {
            return Ok(store);
        }
        static REOPEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        REOPEN
            .import(py, "proxystore.store", "_reopen")?
            .call1((recipe,))
    }

    /// The store, if it is registered already.
    fn registered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyStore>>> {
        let recipe = self.parts()?.recipe.bind(py);
        let store = registry(py).get_item(recipe.get_item(0)?)?;
        Ok(store.and_then(|store| store.cast_into::<PyStore>().ok()))
    }

    /// The object. `called` says that this is all that the factory's call does.
    fn fetch<'py>(&self, py: Python<'py>, called: bool) -> PyResult<Bound<'py, PyAny>> {
        let parts = self.parts()?;
        let key = parts.key.bind(py);
        let store = self.store(py)?;
        let deserializer = parts.deserializer.as_ref().map(|own| own.bind(py));
        let fast = store.cast::<PyStore>()?;
        let span = fast.get().measure("factory.resolve");
        let call = called.then(|| fast.get().measure("factory.call")).flatten();
        let found = fast.get().fetch(key, deserializer, Access::Auto)?;
        let Some(obj) = found else {
            return Err(missing(key, &store));
        };
        if parts.evict {
            fast.get().evict_key(key)?;
        }
        metrics::end(span, key)?;
        metrics::end(call, key)?;
        Ok(obj)
    }

    /// What our wire functions take: key and recipe, what is put `between`, and as much of the
    /// rest as differs from the defaults.
    fn arguments<'py, const N: usize>(
        &self,
        py: Python<'py>,
        between: [Bound<'py, PyAny>; N],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let parts = self.parts()?;
        let recipe = parts.recipe.bind(py);
        let mut key = parts.key.bind(py).clone();
        // A connector of ours: its options are a tuple, and its kind tells the key's class. A key
        // of several fields stays as it is.
        if recipe.get_item(2)?.is_exact_instance_of::<PyTuple>() && key.len()? == 1 {
            key = key.get_item(0)?;
        }
        let mut arguments = SmallVec::<[Bound<'py, PyAny>; 6]>::new();
        arguments.push(key);
        arguments.push(recipe.clone().into_any());
        arguments.extend(between);
        if parts.evict || parts.deserializer.is_some() {
            arguments.push(parts.evict.into_pyobject(py)?.to_owned().into_any());
        }
        if let Some(deserializer) = &parts.deserializer {
            arguments.push(deserializer.bind(py).clone());
        }
        PyTuple::new(py, arguments)
    }

    fn take_pending(&self) -> Option<Py<PyAny>> {
        self.pending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
    }
}

#[pymethods]
impl PyStoreFactory {
    #[new]
    #[pyo3(signature = (key=None, store_config=None, evict=false, deserializer=None))]
    fn new(
        key: Option<Py<PyAny>>,
        store_config: Option<Bound<'_, PyAny>>,
        evict: bool,
        deserializer: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let parts = OnceLock::new();
        if let (Some(key), Some(config)) = (key, store_config) {
            let recipe = recipe_of(config)?;
            let _ = parts.set(Parts {
                key,
                recipe,
                evict,
                deserializer,
            });
        }
        Ok(Self {
            parts,
            pending: Mutex::new(None),
            frame: OnceLock::new(),
        })
    }

    #[getter]
    fn key(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.parts()?.key.clone_ref(py))
    }

    #[getter]
    fn evict(&self) -> PyResult<bool> {
        Ok(self.parts()?.evict)
    }

    #[getter]
    fn deserializer(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self
            .parts()?
            .deserializer
            .as_ref()
            .map(|own| own.clone_ref(py)))
    }

    #[getter]
    fn _recipe(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(self.parts()?.recipe.clone_ref(py))
    }

    /// What pickles of ProxyStore 1.x bring.
    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> PyResult<()> {
        let item = |name: &str| {
            state
                .get_item(name)?
                .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
        };
        let deserializer = item("deserializer")?;
        let parts = Parts {
            key: item("key")?.unbind(),
            recipe: recipe_of(item("store_config")?)?,
            evict: item("evict")?.extract()?,
            deserializer: (!deserializer.is_none()).then(|| deserializer.unbind()),
        };
        let _ = self.parts.set(parts);
        Ok(())
    }

    /// Our own pickled form: see `store_factory`.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        if is_exact(slf) {
            let arguments = slf.get().arguments(py, [])?;
            let make = wire_function(py, &STORE_FACTORY, "store_factory")?;
            return PyTuple::new(py, [make.clone(), arguments.into_any()]);
        }
        // A subclass is made again by its own class, and gets what it has in its dictionary.
        let make = py.import("copyreg")?.getattr("__newobj__")?;
        let arguments = PyTuple::new(py, [slf.get_type()])?.into_any();
        let state = slf.call_method0(intern!(py, "__getstate__"))?;
        PyTuple::new(py, [make, arguments, state])
    }

    /// The store, opened and registered if need be.
    fn get_store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.store(py)
    }

    /// The object; waits for a fetch that `resolve_async` began.
    fn resolve<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(pending) = self.take_pending() {
            return pending.bind(py).call_method0(intern!(py, "result"));
        }
        self.fetch(py, false)
    }

    fn __call__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let factory = slf.get();
        if is_exact(slf) && !factory._is_pending() {
            return factory.fetch(py, true);
        }
        let store = factory.registered(py)?;
        let span = store
            .as_ref()
            .and_then(|store| store.get().measure("factory.call"));
        let obj = slf.call_method0(intern!(py, "resolve"))?;
        metrics::end(span, factory.parts()?.key.bind(py))?;
        Ok(obj)
    }

    /// The fetch alone, for the thread that `resolve_async` starts.
    fn _fetch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.fetch(py, false)
    }

    /// The object that came along, as a frame.
    #[getter]
    fn _frame<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.frame.get().map(|frame| PyBytes::new(py, frame))
    }

    /// Sets the object that came along.
    fn _set_frame(&self, frame: &Bound<'_, PyBytes>) -> PyResult<()> {
        let source = codec::Source::of_python(frame.as_any())?;
        let _ = self.frame.set(source.blob().clone());
        Ok(())
    }

    fn _decode_inline<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.decode_inline(py)
    }

    /// Remembers a running fetch.
    fn _set_pending(&self, pending: Option<Py<PyAny>>) {
        *self
            .pending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = pending;
    }

    #[getter]
    fn _is_pending(&self) -> bool {
        self.pending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .is_some()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(parts) = self.parts.get() {
            visit.call(&parts.key)?;
            visit.call(&parts.recipe)?;
            visit.call(&parts.deserializer)?;
        }
        if let Ok(pending) = self.pending.try_lock() {
            visit.call(&*pending)?;
        }
        Ok(())
    }
}

/// The recipe in a configuration, which is a recipe already or a `StoreConfig`.
fn recipe_of(config: Bound<'_, PyAny>) -> PyResult<Py<PyTuple>> {
    let py = config.py();
    match config.cast_into::<PyTuple>() {
        Ok(recipe) => Ok(recipe.unbind()),
        Err(error) => {
            let config = error.into_inner();
            let recipe = config.call_method0(intern!(py, "_to_recipe"))?;
            Ok(recipe.cast_into::<PyTuple>()?.unbind())
        }
    }
}

/// Makes the factory of a pickled proxy. This name and its arguments are wire format: pickles of
/// one release are read by the next.
#[pyfunction]
#[pyo3(signature = (key, recipe, evict=false, deserializer=None))]
pub(crate) fn store_factory<'py>(
    key: Bound<'py, PyAny>,
    recipe: Bound<'py, PyTuple>,
    evict: bool,
    deserializer: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let key = match key.cast::<PyString>() {
        Ok(name) => {
            let class = key_class(&recipe.get_item(1)?)?;
            crate::backend::named_tuple(&class, name)?
        }
        Err(_) => key,
    };
    PyStoreFactory::of_store(&key, recipe.unbind(), evict, deserializer)
}

/// Makes a pickled proxy of a store: [`store_factory`] and the proxy in one. This name and its
/// arguments are wire format too.
#[pyfunction]
#[pyo3(signature = (key, recipe, default_class=None, default_hash=None, evict=false, deserializer=None))]
pub(crate) fn store_proxy<'py>(
    key: Bound<'py, PyAny>,
    recipe: Bound<'py, PyTuple>,
    default_class: Option<Bound<'py, PyAny>>,
    default_hash: Option<Bound<'py, PyAny>>,
    evict: bool,
    deserializer: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let factory = store_factory(key, recipe, evict, deserializer)?;
    proxy::new_proxy(py, factory, default_class, default_hash, None)
}

/// What a proxy with this factory is pickled as, or None where the factory is not of the public
/// class itself. `told` is the class and the hash that the proxy was told.
pub(crate) fn reduce_proxy<'py>(
    factory: &Bound<'py, PyAny>,
    told: [Bound<'py, PyAny>; 2],
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = factory.py();
    let Ok(factory) = factory.cast::<PyStoreFactory>() else {
        return Ok(None);
    };
    if !is_exact(factory) {
        return Ok(None);
    }
    let arguments = factory.get().arguments(py, told)?;
    let make = wire_function(py, &STORE_PROXY, "store_proxy")?;
    Ok(Some(PyTuple::new(
        py,
        [make.clone(), arguments.into_any()],
    )?))
}

static STORE_FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static STORE_PROXY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn wire_function<'py>(
    py: Python<'py>,
    function: &'static PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    function.import(py, "proxystore._core", name)
}

/// The class of the keys of one of our connectors, by its kind.
fn key_class<'py>(kind: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyType>> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let py = kind.py();
    let classes = CLASSES
        .get_or_init(py, || PyDict::new(py).unbind())
        .bind(py);
    if let Some(class) = classes.get_item(kind)? {
        return Ok(class.cast_into::<PyType>()?);
    }
    let class = py
        .import("proxystore.store")?
        .call_method1("_key_class", (kind,))?;
    classes.set_item(kind, &class)?;
    Ok(class.cast_into::<PyType>()?)
}

/// Whether it is the public class itself, whose `resolve` is ours.
fn is_exact(factory: &Bound<'_, PyStoreFactory>) -> bool {
    FACTORY_CLASS
        .get(factory.py())
        .is_some_and(|class| factory.get_type().is(class))
}

fn missing(key: &Bound<'_, PyAny>, store: &Bound<'_, PyAny>) -> PyErr {
    let py = key.py();
    let raise = || -> PyResult<PyErr> {
        let class = py
            .import("proxystore.store.exceptions")?
            .getattr("ProxyResolveMissingKeyError")?;
        let error = class.call1((key, store.get_type(), store.getattr("name")?))?;
        Ok(PyErr::from_value(error))
    };
    raise().unwrap_or_else(|failure| failure)
}
