//! The one conversion of errors: the core's kinds to the classes of `proxystore.exceptions`.

use proxystore::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The exception of `proxystore.exceptions` that stands for a core error.
pub(crate) fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let name = class_name(error.kind());
    let is_endpoints = error.connector() == Some("endpoint") && is_of_connectors(name);
    let build = || -> PyResult<PyErr> {
        let class = if is_endpoints {
            of_endpoints(py, name)?
        } else {
            py.import("proxystore.exceptions")?.getattr(name)?
        };
        let class = class.cast_into::<PyType>()?;
        let message = error.to_string();
        let value = class.call1((message,))?;
        // A user's own exception, raised by a connector written in Python, stays the cause.
        if let Some(source) = error.into_source()
            && let Ok(cause) = source.downcast::<PyErr>()
        {
            value.setattr("__cause__", cause.into_value(py))?;
        }
        Ok(PyErr::from_value(value))
    };
    build().unwrap_or_else(|failure| failure)
}

/// Whether a class is one of those that derive from `ConnectorError`.
fn is_of_connectors(name: &str) -> bool {
    !matches!(
        name,
        "FrameError" | "NewerFrameError" | "SerializationError"
    )
}

/// The class that is also an `EndpointConnectorError`, which programs of 1.1 catch.
fn of_endpoints<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let rest = name.strip_prefix("Connector").unwrap_or(name);
    py.import("proxystore.endpoint.exceptions")?
        .getattr(match rest {
            "Error" => "EndpointConnectorError".to_owned(),
            _ => format!("Endpoint{rest}"),
        })
}

/// Which class; every kind is walked by a test.
fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidConfig => "ConnectorConfigError",
        ErrorKind::InvalidKey => "ConnectorKeyError",
        ErrorKind::InvalidFrame => "FrameError",
        ErrorKind::NewerFrame => "NewerFrameError",
        ErrorKind::Untrusted => "UntrustedFrameError",
        ErrorKind::Unreachable => "ConnectorUnreachableError",
        ErrorKind::Timeout => "ConnectorTimeoutError",
        ErrorKind::PermissionDenied => "ConnectorPermissionError",
        ErrorKind::Full => "ConnectorFullError",
        ErrorKind::TooLarge => "ObjectTooLargeError",
        ErrorKind::Closed => "ConnectorClosedError",
        ErrorKind::Unsupported => "ConnectorUnsupportedError",
        ErrorKind::WrongHost => "WrongHostError",
        ErrorKind::WrongType | ErrorKind::Encode => "SerializationError",
        _ => "ConnectorError",
    }
}
