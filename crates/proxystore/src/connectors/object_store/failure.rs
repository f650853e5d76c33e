//! What went wrong with a request, and what a person can do about it. A service's answer is never
//! told whole: it may hold what was signed.

use super::config::{ObjectStoreConfig, Provider};
use crate::{Error, ErrorKind};
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error as StdError;
use std::io;

/// Most of a service's own words that an error holds.
const WORDS: usize = 200;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A request was refused or did not arrive.
    Request(object_store::Error),
    /// An answer stopped coming.
    Silent,
    /// An answer was shorter than it said, again and again.
    Torn,
    /// An object changed while it was read, again and again.
    Restless,
    /// There is no memory for an object of this length.
    NoMemory(u64),
    /// The user wants the program to stop.
    Interrupted(io::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Request(error)
    }
}

impl Failure {
    /// Whether it says that the object is not there, though its bucket is.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Request(error) if is_missing(error))
    }

    pub(super) fn into_error(self, config: &ObjectStoreConfig) -> Error {
        let place = config.place();
        let error = match self {
            Self::Request(error) => return of_request(config, &error),
            Self::Silent => {
                let limit = config.timeout.as_secs_f64();
                let message = format!("{place} sent nothing for {limit} s (`timeout`)");
                Error::new(ErrorKind::Timeout, message)
            }
            Self::Torn => Error::new(
                ErrorKind::Unreachable,
                format!("answers of {place} break off in the middle; the call may be repeated"),
            ),
            Self::Restless => Error::new(
                ErrorKind::Unreachable,
                "the object is replaced again and again while it is read; the call may be repeated",
            ),
            Self::NoMemory(len) => Error::new(
                ErrorKind::TooLarge,
                format!("an object of {len} bytes does not fit into this process's memory"),
            ),
            Self::Interrupted(error) => Error::io(error, format!("waiting for {place}")),
        };
        error.with_connector(super::KIND)
    }
}

/// Whether an error says that the object is not there, though its bucket is.
pub(super) fn is_missing(error: &object_store::Error) -> bool {
    match error {
        object_store::Error::NotFound { .. } => !is_without_bucket(&Words::of(error)),
        _ => false,
    }
}

/// Whether the range that was asked for lies outside the object, as every range of an empty one.
pub(super) fn is_out_of_range(error: &object_store::Error) -> bool {
    Words::of(error).status == Some(416)
}

fn is_without_bucket(words: &Words) -> bool {
    matches!(words.code.as_str(), "NoSuchBucket" | "ContainerNotFound")
        || words.all.contains("The specified bucket does not exist")
}

/// What can be read out of an error.
struct Words {
    all: String,
    status: Option<u16>,
    code: String,
    message: String,
    transport: Option<HttpErrorKind>,
    cause: String,
}

impl Words {
    fn of(error: &object_store::Error) -> Self {
        let all = error.to_string();
        let mut transport = None;
        let mut cause = String::new();
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(http) = inner.downcast_ref::<HttpError>() {
                transport = Some(http.kind());
            }
            if transport.is_some() {
                cause = inner.to_string(); // the last one says the most
            }
            source = inner.source();
        }
        let after = |mark: &str| all.split_once(mark).map(|(_, rest)| rest);
        let status = after("status code: ")
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| digits.parse().ok());
        let tag = |name: &str| {
            let rest = after(&format!("<{name}>"))?;
            rest.split_once('<').map(|(text, _)| text.to_owned())
        };
        Self {
            status,
            code: tag("Code").unwrap_or_default(),
            message: tag("Message").unwrap_or_default(),
            transport,
            cause,
            all,
        }
    }

    /// What the service itself said, in brackets.
    fn said(&self) -> String {
        let mut words = match self.status {
            Some(status) => status.to_string(),
            None => String::new(),
        };
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                words += if words.is_empty() { "" } else { " " };
                words += part.lines().next().unwrap_or_default();
            }
        }
        match words.char_indices().nth(WORDS) {
            _ if words.is_empty() => words,
            Some((at, _)) => format!(" ({}…)", &words[..at]),
            None => format!(" ({words})"),
        }
    }
}

fn of_request(config: &ObjectStoreConfig, error: &object_store::Error) -> Error {
    let words = Words::of(error);
    let (kind, message) = meaning(config, error, &words);
    Error::new(kind, message).with_connector(super::KIND)
}

/// An error of a client's making: something is missing or wrong in the configuration.
pub(super) fn of_configuration(config: &ObjectStoreConfig, error: &object_store::Error) -> Error {
    let place = config.place();
    let why = match error {
        object_store::Error::Generic { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let message = format!("{place}: {why}");
    Error::new(ErrorKind::InvalidConfig, message).with_connector(super::KIND)
}

fn meaning(
    config: &ObjectStoreConfig,
    error: &object_store::Error,
    words: &Words,
) -> (ErrorKind, String) {
    let place = config.place();
    let said = words.said();
    if is_without_bucket(words) {
        let message =
            format!("{place}: there is no such bucket{said}; make it, or correct its name");
        return (ErrorKind::InvalidConfig, message);
    }
    let looked = config.provider.credentials();
    match words.code.as_str() {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "AuthenticationFailed"
        | "InvalidAuthenticationInfo" => {
            let message = format!(
                "{place} refuses these credentials{said}; they were looked for in {looked}"
            );
            return (ErrorKind::PermissionDenied, message);
        }
        "RequestTimeTooSkewed" => {
            let message = format!("{place}: this machine's clock is wrong{said}");
            return (ErrorKind::PermissionDenied, message);
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            let message =
                format!("{place}: the bucket lies in another region{said}; give `region`");
            return (ErrorKind::InvalidConfig, message);
        }
        "KeyTooLongError" | "KeyTooLong" => {
            let message = format!("{place}: prefix, namespace and key are too long together{said}");
            return (ErrorKind::InvalidKey, message);
        }
        "EntityTooLarge" | "RequestBodyTooLarge" => {
            return (
                ErrorKind::TooLarge,
                format!("{place} takes no object of this size{said}"),
            );
        }
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientAccountPermissions" => {
            return (ErrorKind::Full, format!("{place} has no room left{said}"));
        }
        _ => {}
    }
    if words.all.contains("redirect without LOCATION")
        || matches!(words.status, Some(301 | 307 | 308))
    {
        let message = format!("{place}: the bucket lies in another region{said}; give `region`");
        return (ErrorKind::InvalidConfig, message);
    }
    // Only machines of a cloud have a metadata service; elsewhere there are no credentials.
    let is_metadata = ["169.254.", "metadata.google", "fd00:ec2::"]
        .iter()
        .any(|host| words.all.contains(host));
    if is_metadata {
        let message =
            format!("{place}: no credentials were found; they were looked for in {looked}");
        return (ErrorKind::PermissionDenied, message);
    }
    match words.status {
        Some(401 | 403) => {
            let right = match config.provider {
                Provider::S3 => "; it takes the rights to list, get, put and delete",
                _ => "",
            };
            return (
                ErrorKind::PermissionDenied,
                format!("{place} refuses access{said}{right}"),
            );
        }
        Some(429 | 503) => {
            let message = format!(
                "{place} asks for fewer requests{said}, also after {} repetitions; the call may be \
                 repeated later",
                config.retries
            );
            return (ErrorKind::Unreachable, message);
        }
        Some(507) => return (ErrorKind::Full, format!("{place} has no room left{said}")),
        Some(status) if status >= 500 => {
            let message = format!("{place} fails{said}; the call may be repeated");
            return (ErrorKind::Unreachable, message);
        }
        _ => {}
    }
    match words.transport {
        Some(HttpErrorKind::Timeout) => {
            let limit = config.timeout.as_secs_f64();
            let message = format!("{place} does not answer within {limit} s (`timeout`)");
            (ErrorKind::Timeout, message)
        }
        Some(HttpErrorKind::Connect) => {
            let message = format!(
                "cannot connect to {place}; is the service running there? ({})",
                words.cause
            );
            (ErrorKind::Unreachable, message)
        }
        Some(_) => {
            let message = format!(
                "the connection to {place} broke ({}); the call may be repeated",
                words.cause
            );
            (ErrorKind::Unreachable, message)
        }
        None => {
            let what = match error {
                _ if !said.is_empty() => format!("refused{said}"),
                object_store::Error::NotFound { .. } => "something is not there".to_owned(),
                object_store::Error::Generic { .. } => "an answer that cannot be read".to_owned(),
                _ => "the request failed".to_owned(),
            };
            (ErrorKind::Io, format!("{place}: {what}"))
        }
    }
}
