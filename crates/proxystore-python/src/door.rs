//! The one door out of Python: every call into the core that may take a while goes through here.

use crate::error::to_python;
use pyo3::prelude::*;
use std::cell::Cell;

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

thread_local! {
    /// What a signal's handler raised while the core waited for the network on this thread.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Lets Ctrl-C end a wait for the network: the core asks when a signal woke it.
pub(crate) fn register() {
    proxystore::interrupt::set_check(|| {
        let raised = Python::try_attach(|py| py.check_signals().err()).flatten();
        let ends = raised.is_some();
        RAISED.set(raised);
        ends
    });
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
    if let Some(raised) = RAISED.take() {
        return Err(raised);
    }
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => {
            py.check_signals()?;
            Err(to_python(py, error))
        }
    }
}
