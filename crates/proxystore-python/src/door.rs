//! The one door out of Python: every call into the core that may take a while goes through here.

use crate::error::to_python;
use pyo3::prelude::*;

/// Whether the GIL is kept during a call. Getting it back under contention costs a switch interval
/// of 5 ms, giving it up for nothing 45 ns: it is kept where the call ends within some 200 µs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gil {
    Hold,
    Release,
}

impl Gil {
    pub(crate) fn hold_if(quick: bool) -> Self {
        if quick { Self::Hold } else { Self::Release }
    }
}

/// Runs a call of the core and maps its error. A signal that came meanwhile is handled by the
/// interpreter as soon as the call has returned, or here if the call failed.
pub(crate) fn through<T: Send>(
    py: Python<'_>,
    gil: Gil,
    call: impl FnOnce() -> proxystore::Result<T> + Send,
) -> PyResult<T> {
    let outcome = match gil {
        Gil::Hold => call(),
        Gil::Release => py.detach(call),
    };
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => {
            py.check_signals()?;
            Err(to_python(py, error))
        }
    }
}
