//! What a store puts its frames into: a connector of the core, or one that a user wrote.

use crate::codec::Encoded;
use crate::connector::{Bytes, PyNativeConnector};
use crate::door::{Gil, through};
use crate::error::to_python;
use proxystore::frame::FrameBuilder;
use proxystore::seal::{Seal, Sealed};
use proxystore::{Access, Blob, Connector, Key, Payload};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a store puts its frames into.
pub(crate) enum Backend {
    /// A connector of the core, and the class of its keys.
    Native {
        connector: Arc<dyn Connector>,
        key_class: Py<PyType>,
    },
    /// An object that follows the `Connector` protocol. It is handed one joined frame.
    Python {
        connector: Py<PyAny>,
        /// What is done with the frame before and after. Keys are not known before the put, so
        /// envelopes are bound to none.
        seal: Option<Arc<Seal>>,
    },
}

impl Backend {
    pub(crate) fn of(
        native: Option<Bound<'_, PyNativeConnector>>,
        key_class: Option<Bound<'_, PyType>>,
        connector: &Bound<'_, PyAny>,
        seal: Option<Arc<Seal>>,
    ) -> PyResult<Self> {
        let (Some(native), Some(key_class)) = (native, key_class) else {
            let connector = connector.clone().unbind();
            return Ok(Self::Python { connector, seal });
        };
        if !key_class.is_subclass_of::<PyTuple>()? {
            return Err(PyTypeError::new_err(
                "a key class must be a subclass of tuple",
            ));
        }
        Ok(Self::Native {
            connector: match seal {
                None => Arc::clone(&native.get().inner),
                Some(seal) => Arc::new(Sealed::new(Arc::clone(&native.get().inner), seal)),
            },
            key_class: key_class.unbind(),
        })
    }

    pub(crate) fn put<'py>(
        &self,
        py: Python<'py>,
        encoded: &Encoded,
        kwargs: Option<&Bound<'py, PyDict>>,
        lease: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Native {
                connector,
                key_class,
            } => {
                refuse_arguments(kwargs)?;
                let key = encoded.with_payload(py, |payload| {
                    let gil = Gil::hold_if(connector.is_quick(payload.len()));
                    through(py, gil, || match lease {
                        None => connector.put(payload),
                        Some(lease) => connector.put(&payload.clone().with_lease(lease)),
                    })
                })?;
                typed_key(key_class.bind(py), &key)
            }
            Self::Python { connector, seal } => {
                let frame = sealed(py, encoded, seal.as_deref())?;
                connector
                    .bind(py)
                    .call_method(intern!(py, "put"), (frame,), kwargs)
            }
        }
    }

    pub(crate) fn put_batch<'py>(
        &self,
        py: Python<'py>,
        encoded: &[Encoded],
        kwargs: Option<&Bound<'py, PyDict>>,
        lease: Option<Duration>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        match self {
            Self::Native {
                connector,
                key_class,
            } => {
                refuse_arguments(kwargs)?;
                let builders: Vec<_> = encoded.iter().map(|one| one.builder(py)).collect();
                let heads: Vec<_> = builders.iter().map(FrameBuilder::head).collect();
                let payloads: Vec<_> = builders
                    .iter()
                    .zip(&heads)
                    .map(|(builder, head)| {
                        let payload = builder.payload(head);
                        match lease {
                            None => payload,
                            Some(lease) => payload.with_lease(lease),
                        }
                    })
                    .collect();
                let keys = through(py, Gil::Release, || connector.put_batch(&payloads))?;
                keys.iter()
                    .map(|key| typed_key(key_class.bind(py), key))
                    .collect()
            }
            Self::Python { connector, seal } => {
                let seal = seal.as_deref();
                let frames = encoded.iter().map(|one| sealed(py, one, seal));
                let frames = PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)?;
                let keys =
                    connector
                        .bind(py)
                        .call_method(intern!(py, "put_batch"), (frames,), kwargs)?;
                keys.try_iter()?.collect()
            }
        }
    }

    pub(crate) fn set(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        encoded: &Encoded,
    ) -> PyResult<()> {
        match self {
            Self::Native { connector, .. } => {
                let key = plain_key(key)?;
                encoded.with_payload(py, |payload| {
                    let gil = Gil::hold_if(connector.is_quick(payload.len()));
                    through(py, gil, || connector.set(&key, payload))
                })
            }
            Self::Python { connector, seal } => {
                let frame = sealed(py, encoded, seal.as_deref())?;
                connector
                    .bind(py)
                    .call_method1(intern!(py, "set"), (key, frame))
                    .map(drop)
            }
        }
    }

    pub(crate) fn get(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        access: Access,
    ) -> PyResult<Option<Blob>> {
        match self {
            Self::Native { connector, .. } => {
                let key = plain_key(key)?;
                let quick = connector.get_quick(&key, access);
                if let Some(found) = quick.map_err(|error| to_python(py, error))? {
                    return Ok(found);
                }
                through(py, Gil::Release, || connector.get(&key, access))
            }
            Self::Python { connector, seal } => {
                let found = connector
                    .bind(py)
                    .call_method1(intern!(py, "get"), (key,))?;
                opened(seal.as_deref(), &found)
            }
        }
    }

    pub(crate) fn get_batch(
        &self,
        py: Python<'_>,
        keys: &[Bound<'_, PyAny>],
        access: Access,
    ) -> PyResult<Vec<Option<Blob>>> {
        match self {
            Self::Native { connector, .. } => {
                let keys = keys.iter().map(plain_key).collect::<PyResult<Vec<_>>>()?;
                through(py, Gil::Release, || connector.get_batch(&keys, access))
            }
            Self::Python { connector, seal } => {
                let keys = PyList::new(py, keys)?;
                let found = connector
                    .bind(py)
                    .call_method1(intern!(py, "get_batch"), (keys,))?;
                let seal = seal.as_deref();
                found.try_iter()?.map(|one| opened(seal, &one?)).collect()
            }
        }
    }

    pub(crate) fn exists(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = key.py();
        match self {
            Self::Native { connector, .. } => {
                let key = plain_key(key)?;
                let gil = Gil::hold_if(connector.is_quick(0));
                through(py, gil, || connector.exists(&key))
            }
            Self::Python { connector, .. } => connector
                .bind(py)
                .call_method1(intern!(py, "exists"), (key,))?
                .is_truthy(),
        }
    }

    /// Waits for an object, until the caller's next look and for no longer than `left` seconds.
    /// False, at once, where the connector would only ask again and again.
    ///
    /// A connector that is told needs few looks, however often the caller would look.
    pub(crate) fn wait(
        &self,
        key: &Bound<'_, PyAny>,
        interval: f64,
        left: Option<f64>,
    ) -> PyResult<bool> {
        const FEW: f64 = 5.0;
        let py = key.py();
        let Self::Native { connector, .. } = self else {
            return Ok(false);
        };
        if !connector.capability().notify {
            return Ok(false);
        }
        let key = plain_key(key)?;
        let seconds = interval.max(FEW).min(left.unwrap_or(f64::INFINITY));
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let is_there = through(py, Gil::Release, || connector.wait(&key, left))?;
            py.check_signals()?;
            if is_there || began.elapsed() >= timeout {
                return Ok(true);
            }
        }
    }

    /// Whether objects are signed or encrypted.
    pub(crate) fn demands_key(&self) -> bool {
        match self {
            Self::Native { connector, .. } => connector.capability().sealed,
            Self::Python { seal, .. } => seal.as_ref().is_some_and(|seal| seal.demands_key()),
        }
    }

    /// Stores a frame that is there already.
    pub(crate) fn set_frame(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        frame: &[u8],
    ) -> PyResult<()> {
        let payload = Payload::from_bytes(frame);
        match self {
            Self::Native { connector, .. } => {
                let key = plain_key(key)?;
                through(py, Gil::Release, || connector.set(&key, &payload))
            }
            Self::Python { connector, seal } => {
                let frame = sealed_payload(py, &payload, seal.as_deref())?;
                connector
                    .bind(py)
                    .call_method1(intern!(py, "set"), (key, frame))
                    .map(drop)
            }
        }
    }

    /// Stores an object once more, under another key; None if it is gone.
    pub(crate) fn copy<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        match self {
            Self::Native {
                connector,
                key_class,
            } => {
                let key = plain_key(key)?;
                let copy = through(py, Gil::Release, || {
                    let found = connector.get(&key, Access::View)?;
                    found
                        .map(|blob| connector.put(&Payload::from_bytes(&blob)))
                        .transpose()
                })?;
                copy.map(|key| typed_key(key_class.bind(py), &key))
                    .transpose()
            }
            Self::Python { connector, .. } => {
                let connector = connector.bind(py);
                let found = connector.call_method1(intern!(py, "get"), (key,))?;
                if found.is_none() {
                    return Ok(None);
                }
                connector
                    .call_method1(intern!(py, "put"), (found,))
                    .map(Some)
            }
        }
    }

    /// Whether objects can have a lease that holds without this process.
    pub(crate) fn keeps_leases(&self) -> bool {
        match self {
            Self::Native { connector, .. } => connector.capability().expiry,
            Self::Python { .. } => false,
        }
    }

    /// Lets objects live for so long from now; does nothing where there are no leases.
    pub(crate) fn touch(
        &self,
        py: Python<'_>,
        keys: &[Bound<'_, PyAny>],
        lease: Duration,
    ) -> PyResult<()> {
        let Self::Native { connector, .. } = self else {
            return Ok(());
        };
        if keys.is_empty() || !self.keeps_leases() {
            return Ok(());
        }
        let keys = keys.iter().map(plain_key).collect::<PyResult<Vec<_>>>()?;
        through(py, Gil::Release, || connector.touch(&keys, lease).map(drop))
    }

    pub(crate) fn evict(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        match self {
            Self::Native { connector, .. } => {
                let key = plain_key(key)?;
                through(py, Gil::Release, || connector.evict(&key))
            }
            Self::Python { connector, .. } => connector
                .bind(py)
                .call_method1(intern!(py, "evict"), (key,))
                .map(drop),
        }
    }

    pub(crate) fn evict_batch(&self, py: Python<'_>, keys: &[Bound<'_, PyAny>]) -> PyResult<()> {
        match self {
            Self::Native { connector, .. } => {
                let keys = keys.iter().map(plain_key).collect::<PyResult<Vec<_>>>()?;
                through(py, Gil::Release, || connector.evict_batch(&keys))
            }
            Self::Python { .. } => keys.iter().try_for_each(|key| self.evict(key)),
        }
    }

    /// What holds a Python reference here, for the garbage collector.
    pub(crate) fn visit(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        match self {
            Self::Native { key_class, .. } => visit.call(key_class),
            Self::Python { connector, .. } => visit.call(connector),
        }
    }
}

/// One frame in one `bytes`.
pub(crate) fn joined<'py>(py: Python<'py>, encoded: &Encoded) -> Bound<'py, PyBytes> {
    encoded.with_payload(py, |payload| in_one(py, payload))
}

fn in_one<'py>(py: Python<'py>, payload: &Payload<'_>) -> Bound<'py, PyBytes> {
    PyBytes::new_with(py, payload.len(), |target| {
        payload.copy_to(target);
        Ok(())
    })
    .unwrap_or_else(|_| PyBytes::new(py, &payload.to_vec()))
}

/// What a connector that is written in Python is given.
fn sealed<'py>(
    py: Python<'py>,
    encoded: &Encoded,
    seal: Option<&Seal>,
) -> PyResult<Bound<'py, PyBytes>> {
    encoded.with_payload(py, |payload| sealed_payload(py, payload, seal))
}

fn sealed_payload<'py>(
    py: Python<'py>,
    payload: &Payload<'_>,
    seal: Option<&Seal>,
) -> PyResult<Bound<'py, PyBytes>> {
    let Some(seal) = seal else {
        return Ok(in_one(py, payload));
    };
    // How fast such a connector is is not known: `auto` compresses nothing.
    match through(py, Gil::Release, || seal.wrap(payload, None, None))? {
        None => Ok(in_one(py, payload)),
        Some(envelope) => Ok(in_one(py, &envelope.payload())),
    }
}

/// What a connector that is written in Python gave.
fn opened(seal: Option<&Seal>, found: &Bound<'_, PyAny>) -> PyResult<Option<Blob>> {
    if found.is_none() {
        return Ok(None);
    }
    let bytes = Bytes::of(found)?;
    let Some(seal) = seal else {
        return Ok(Some(Blob::new(bytes)));
    };
    // Nobody shall change it between the check and the use, as they can a bytearray.
    let blob = if found.is_exact_instance_of::<PyBytes>() {
        Blob::new(bytes)
    } else {
        Blob::copy_from(bytes.as_slice())
    };
    through(found.py(), Gil::Release, || seal.open(blob, None)).map(Some)
}

fn refuse_arguments(kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    match kwargs.and_then(|kwargs| kwargs.iter().next()) {
        Some((name, _)) => Err(PyTypeError::new_err(format!(
            "put() got an unexpected keyword argument {name}: this store's connector takes none"
        ))),
        None => Ok(()),
    }
}

/// The core's key as an instance of the connector's own class.
fn typed_key<'py>(class: &Bound<'py, PyType>, key: &Key) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    match proxystore_endpoint::split_key(key.as_str()) {
        None => named_tuple(class, &PyString::new(py, key.as_str())),
        Some((name, endpoint)) => class.call1((name, endpoint)),
    }
}

/// A named tuple of one string: `tuple.__new__(class, (name,))`, which is what its own constructor
/// does, without a Python frame.
pub(crate) fn named_tuple<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    if !class.is_subclass_of::<PyTuple>()? {
        return Err(PyTypeError::new_err(
            "the class of a key must be a subclass of tuple",
        ));
    }
    let arguments = PyTuple::new(py, [PyTuple::new(py, [name])?])?;
    // SAFETY: `tuple.__new__` is given a subclass of tuple and, as its arguments, a tuple that
    // holds one iterable.
    unsafe {
        let new = (*std::ptr::addr_of!(pyo3::ffi::PyTuple_Type)).tp_new;
        let made = new.map_or(std::ptr::null_mut(), |new| {
            new(
                class.as_type_ptr(),
                arguments.as_ptr(),
                std::ptr::null_mut(),
            )
        });
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// The name in a key of one of our connectors: its first field, and, of an endpoint's object, the
/// endpoint that the second one names.
fn plain_key(key: &Bound<'_, PyAny>) -> PyResult<Key> {
    let py = key.py();
    let sound = |name: &str| Key::new(name).map_err(|error| to_python(py, error));
    if let Ok(fields) = key.cast::<PyTuple>()
        && let Ok(first) = fields.get_item(0)
        && let Ok(name) = first.cast::<PyString>()
    {
        if fields.len() == 2
            && let Ok(second) = fields.get_item(1)
            && let Ok(endpoint) = second.cast::<PyString>()
        {
            return sound(&format!("{}@{}", name.to_str()?, endpoint.to_str()?));
        }
        return sound(name.to_str()?);
    }
    Err(to_python(
        py,
        proxystore::Error::new(
            proxystore::ErrorKind::InvalidKey,
            format!(
                "{} is no key of this store: keys are what put() returned, tuples of one string",
                key.repr()
                    .map_or_else(|_| "this object".to_owned(), |text| text.to_string())
            ),
        ),
    ))
}
