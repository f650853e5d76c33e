//! What a store does with its objects on their way: compression, signing, encryption.

use crate::error::to_python;
use proxystore::config::OptionValue;
use proxystore::seal::{Compression, KeyReference, Seal, SealConfig};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::Arc;

/// The core's [`Seal`], with the keys that it read.
#[pyclass(name = "Seal", module = "proxystore._core", frozen)]
pub(crate) struct PySeal {
    pub(crate) inner: Arc<Seal>,
}

#[pymethods]
impl PySeal {
    #[new]
    #[pyo3(signature = (compression, encryption, signing))]
    fn new(
        compression: Option<&Bound<'_, PyAny>>,
        encryption: Option<&Bound<'_, PyAny>>,
        signing: Option<&Bound<'_, PyAny>>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let config = SealConfig::default()
            .compression(option::<Compression>("compression", compression)?)
            .encryption(option::<KeyReference>("encryption", encryption)?)
            .signing(option::<KeyReference>("signing", signing)?);
        let seal = Seal::new(&config).map_err(|error| to_python(py, error))?;
        Ok(Self {
            inner: Arc::new(seal),
        })
    }

    /// Whether only what was written with the key is taken.
    #[getter]
    fn demands_key(&self) -> bool {
        self.inner.demands_key()
    }

    fn __repr__(&self) -> String {
        format!("<Seal {}>", self.inner.config().to_options())
    }
}

/// An option of the public class. What was given in place of a key's name is not repeated: it may
/// be the key.
fn option<T: OptionValue>(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    let wrong = |given: String| format!("{name}={given}: it is {}", T::EXPECTED);
    let Ok(text) = value.extract::<String>() else {
        let given = value.get_type().name()?.to_string();
        return Err(PyTypeError::new_err(wrong(format!("<{given}>"))));
    };
    match T::from_text(&text) {
        Some(value) => Ok(Some(value)),
        None => {
            let shown = if name == "compression" {
                format!("{text:?}")
            } else {
                "...".to_owned()
            };
            let error = proxystore::Error::new(proxystore::ErrorKind::InvalidConfig, wrong(shown));
            Err(to_python(value.py(), error))
        }
    }
}
