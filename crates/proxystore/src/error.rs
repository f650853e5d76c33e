//! The one error type of the crate.

use crate::Key;
use std::borrow::Cow;
use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or an argument is wrong; the message names the field.
    InvalidConfig,
    /// The key cannot be a key of this connector.
    InvalidKey,
    /// The stored bytes are not a whole, sound frame.
    InvalidFrame,
    /// The frame was written by a newer version of this software.
    NewerFrame,
    /// The store demands a signature or encryption that the stored bytes do not have.
    Untrusted,
    /// There is no object under the key: it was evicted, or never put.
    NotFound,
    /// The object is sound, but of another type than was asked for.
    WrongType,
    /// The value has no form in which it could be put.
    Encode,
    /// The service does not answer, or the directory is not there.
    Unreachable,
    /// No answer within the configured time.
    Timeout,
    /// The operating system or the service refuses access.
    PermissionDenied,
    /// No space is left where the object would go.
    Full,
    /// The object is larger than the connector takes.
    TooLarge,
    /// The connector was closed.
    Closed,
    /// The connector cannot do this; see its [`Capability`](crate::Capability).
    Unsupported,
    /// The object lives on another host or in another container.
    WrongHost,
    /// A connector written by a user failed.
    Foreign,
    /// Any other failure of the operating system or the network.
    Io,
}

impl ErrorKind {
    /// Every kind, for tests that must not miss one.
    pub const ALL: [Self; 18] = [
        Self::InvalidConfig,
        Self::InvalidKey,
        Self::InvalidFrame,
        Self::NewerFrame,
        Self::Untrusted,
        Self::NotFound,
        Self::WrongType,
        Self::Encode,
        Self::Unreachable,
        Self::Timeout,
        Self::PermissionDenied,
        Self::Full,
        Self::TooLarge,
        Self::Closed,
        Self::Unsupported,
        Self::WrongHost,
        Self::Foreign,
        Self::Io,
    ];

    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout)
    }

    /// The kind that an I/O error stands for.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::PermissionDenied => Self::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded => Self::Full,
            Io::FileTooLarge => Self::TooLarge,
            Io::TimedOut | Io::WouldBlock => Self::Timeout,
            Io::ConnectionRefused
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::NotConnected
            | Io::BrokenPipe
            | Io::UnexpectedEof
            | Io::HostUnreachable
            | Io::NetworkUnreachable => Self::Unreachable,
            _ => Self::Io,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    connector: Option<&'static str>,
    key: Option<Key>,
    source: Option<Source>,
}

/// What went wrong, where, and with which key. One word wide.
///
/// ```
/// use proxystore::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Full, "no space left in /dev/shm").with_connector("file");
/// assert_eq!(error.kind(), ErrorKind::Full);
/// assert_eq!(error.to_string(), "file: no space left in /dev/shm");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

impl Error {
    /// An error of a kind, with a sentence that says what was wrong and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            connector: None,
            key: None,
            source: None,
        }))
    }

    /// An I/O error, with what was being done.
    pub fn io(source: std::io::Error, doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::of_io(&source), doing).with_source(source)
    }

    /// Names the connector, e.g. `"file"`. The first name given stays.
    #[must_use]
    pub fn with_connector(mut self, connector: &'static str) -> Self {
        self.0.connector.get_or_insert(connector);
        self
    }

    /// Names the key. The first one given stays.
    #[must_use]
    pub fn with_key(mut self, key: &Key) -> Self {
        if self.0.key.is_none() {
            self.0.key = Some(key.clone());
        }
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// The connector, if one was named.
    #[must_use]
    pub fn connector(&self) -> Option<&'static str> {
        self.0.connector
    }

    /// The key, if one was named.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// Takes the cause out, e.g. to hand a user's own exception back to them.
    #[must_use]
    pub fn into_source(self) -> Option<Source> {
        self.0.source
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connector) = self.0.connector {
            write!(f, "{connector}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(key) = &self.0.key {
            write!(f, " (key {key})")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once() {
        let mut seen = std::collections::HashSet::new();
        for kind in ErrorKind::ALL {
            assert!(seen.insert(kind), "{kind:?} twice");
        }
    }

    #[test]
    fn says_connector_message_key_and_cause() {
        let error = Error::io(std::io::Error::from_raw_os_error(libc::ENOSPC), "writing")
            .with_connector("file")
            .with_key(&Key::new("k").unwrap());
        assert_eq!(error.kind(), ErrorKind::Full);
        assert_eq!(
            error.to_string(),
            "file: writing (key k): No space left on device (os error 28)"
        );
    }
}
