//! Whether a store takes pickles: to load one runs what it names.

use super::Encoded;
use crate::error::to_python;
use proxystore::frame::Codec;
use proxystore::{Error, ErrorKind};
use pyo3::prelude::*;

/// What a store does with pickled objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pickles {
    Load,
    Refuse,
}

impl Pickles {
    pub(crate) fn of(load: bool) -> Self {
        if load { Self::Load } else { Self::Refuse }
    }

    /// Refuses to load.
    ///
    /// # Errors
    /// `UntrustedFrameError`.
    pub(super) fn allow(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Load => Ok(()),
            Self::Refuse => Err(to_python(
                py,
                Error::new(
                    ErrorKind::Untrusted,
                    "a pickled object that was refused: its store was opened with pickle=False, \
                     and takes only data",
                ),
            )),
        }
    }

    /// Refuses to store what nobody could load.
    ///
    /// # Errors
    /// `SerializationError`.
    pub(crate) fn check(self, py: Python<'_>, encoded: &Encoded) -> PyResult<()> {
        if self == Self::Load || encoded.codec() != Codec::Pickle {
            return Ok(());
        }
        Err(to_python(
            py,
            Error::new(
                ErrorKind::Encode,
                "this object can only be pickled, which a store with pickle=False does not: put \
                 bytes, text, arrays, tables, or lists and dictionaries of such values",
            ),
        ))
    }
}
