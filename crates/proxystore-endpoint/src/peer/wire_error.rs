//! Why a peer did not do what it was asked: a code on the wire, a kind of error in programs.

use proxystore::{Error, ErrorKind};

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There is no such object.
    NotFound,
    /// The one who asks is not on the list.
    Denied,
    /// The object is larger than the receiver takes.
    TooLarge,
    /// The receiver has no room.
    Full,
    /// The object is no longer the one that earlier ranges came from.
    Changed,
    /// The ticket is not, or no longer, known.
    UnknownTicket,
    /// Too much is under way; later.
    Busy,
    /// The request makes no sense.
    BadRequest,
    /// No common version, or nothing that this endpoint does.
    Unsupported,
    /// Anything else, such as a disk that cannot be read.
    Other,
}

impl Cause {
    /// Every cause, for tests that must not miss one.
    pub const ALL: [Self; 10] = [
        Self::NotFound,
        Self::Denied,
        Self::TooLarge,
        Self::Full,
        Self::Changed,
        Self::UnknownTicket,
        Self::Busy,
        Self::BadRequest,
        Self::Unsupported,
        Self::Other,
    ];

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::NotFound => 1,
            Self::Denied => 2,
            Self::TooLarge => 3,
            Self::Full => 4,
            Self::Changed => 5,
            Self::UnknownTicket => 7,
            Self::Busy => 8,
            Self::BadRequest => 9,
            Self::Unsupported => 10,
        }
    }

    /// The cause of a code. A code of a later version is [`Other`](Self::Other): the sentence still says why.
    pub(super) fn of_code(code: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|cause| cause.code() == code)
            .unwrap_or(Self::Other)
    }

    /// What programs see.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Denied => ErrorKind::PermissionDenied,
            Self::TooLarge => ErrorKind::TooLarge,
            Self::Full => ErrorKind::Full,
            Self::Busy => ErrorKind::Timeout,
            Self::BadRequest => ErrorKind::InvalidKey,
            Self::Unsupported => ErrorKind::Unsupported,
            Self::Changed | Self::UnknownTicket | Self::Other => ErrorKind::Io,
        }
    }

    /// What a failure of ours is called on the wire.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::Full => Self::Full,
            ErrorKind::Timeout => Self::Busy,
            ErrorKind::InvalidKey => Self::BadRequest,
            ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Other,
        }
    }
}
