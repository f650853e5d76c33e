//! What a daemon says.

use super::fields::{self, Reader};
use super::{Prefix, begin, finish, malformed};
use proxystore::{Error, ErrorKind, Result};

/// Names and values, all as text: newer daemons may know more of them.
pub type Record = Vec<(String, String)>;

/// An answer.
///
/// ```
/// use proxystore_endpoint::wire::{ANSWER_FIELDS, Answer, PREFIX, Prefix};
///
/// let bytes = Answer::Flag(true).encode(0);
/// let head = bytes.first_chunk::<PREFIX>().expect("a prefix");
/// let prefix = Prefix::decode(head, ANSWER_FIELDS)?;
/// assert_eq!(Answer::decode(prefix, &bytes[PREFIX..])?, Answer::Flag(true));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Welcome: who this is.
    Hello {
        /// The endpoint's UUID.
        uuid: String,
        /// Largest object that it takes, in bytes.
        limit: Option<u64>,
    },
    /// It was done.
    Done,
    /// An object: the body, or, if shared, `len` bytes of the memory whose descriptor came along.
    Object {
        /// Whether a descriptor came along.
        shared: bool,
        /// The object's bytes.
        len: u64,
    },
    /// There is no such object.
    Missing,
    /// Yes or no.
    Flag(bool),
    /// The object may come; if shared, into the memory whose descriptor came along.
    Accepted {
        /// Whether a descriptor came along.
        shared: bool,
    },
    /// What a person asked for.
    Records(Vec<Record>),
    /// Names of objects.
    Keys(Vec<String>),
    /// It is being worked on; the answer is yet to come.
    Wait,
    /// It could not be done.
    Failed {
        /// By what a caller can do.
        kind: ErrorKind,
        /// In words.
        message: String,
    },
}

impl Answer {
    /// An error as an answer.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        Self::Failed {
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 64,
            Self::Done => 65,
            Self::Object { .. } => 66,
            Self::Missing => 67,
            Self::Flag(_) => 68,
            Self::Accepted { .. } => 69,
            Self::Records(_) => 70,
            Self::Keys(_) => 71,
            Self::Wait => 72,
            Self::Failed { .. } => 73,
        }
    }

    /// The message, up to its body of `body` bytes.
    #[must_use]
    pub fn encode(&self, body: u64) -> Vec<u8> {
        let mut bytes = begin();
        let out = &mut bytes;
        match self {
            Self::Hello { uuid, limit } => {
                fields::text(out, uuid);
                fields::number(out, limit.unwrap_or(u64::MAX));
            }
            Self::Object { shared, len } => {
                out.push((*shared).into());
                fields::number(out, *len);
            }
            Self::Flag(flag) | Self::Accepted { shared: flag } => out.push((*flag).into()),
            Self::Records(records) => {
                fields::number(out, records.len() as u64);
                for record in records {
                    fields::number(out, record.len() as u64);
                    for (name, value) in record {
                        fields::text(out, name);
                        fields::text(out, value);
                    }
                }
            }
            Self::Keys(keys) => {
                fields::number(out, keys.len() as u64);
                for key in keys {
                    fields::text(out, key);
                }
            }
            Self::Failed { kind, message } => {
                fields::text(out, kind_name(*kind));
                fields::text(out, message);
            }
            Self::Done | Self::Missing | Self::Wait => {}
        }
        finish(bytes, self.kind(), body)
    }

    /// Reads the fields that follow a prefix.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if they are none of this protocol.
    pub fn decode(prefix: Prefix, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let answer = match prefix.kind {
            64 => Self::Hello {
                uuid: reader.text()?.to_owned(),
                limit: Some(reader.number()?).filter(|limit| *limit != u64::MAX),
            },
            65 => Self::Done,
            66 => {
                let (shared, len) = (reader.flag()?, reader.number()?);
                if prefix.body != if shared { 0 } else { len } {
                    return Err(malformed("a body of another length than it says"));
                }
                Self::Object { shared, len }
            }
            67 => Self::Missing,
            68 => Self::Flag(reader.flag()?),
            69 => Self::Accepted {
                shared: reader.flag()?,
            },
            70 => {
                let count = reader.count(8)?;
                let mut records = Vec::with_capacity(count);
                for _ in 0..count {
                    let pairs = reader.count(4)?;
                    let mut record = Vec::with_capacity(pairs);
                    for _ in 0..pairs {
                        record.push((reader.text()?.to_owned(), reader.text()?.to_owned()));
                    }
                    records.push(record);
                }
                Self::Records(records)
            }
            71 => {
                let count = reader.count(2)?;
                let mut keys = Vec::with_capacity(count);
                for _ in 0..count {
                    keys.push(reader.text()?.to_owned());
                }
                Self::Keys(keys)
            }
            72 => Self::Wait,
            73 => Self::Failed {
                kind: kind_of(reader.text()?),
                message: reader.text()?.to_owned(),
            },
            _ => return Err(malformed("an answer that is not known")),
        };
        if prefix.body != 0 && prefix.kind != 66 {
            return Err(malformed("a body that belongs to nothing"));
        }
        reader.finish()?;
        Ok(answer)
    }
}

/// Kinds by name, so that a kind which one side does not know yet does no harm.
const KINDS: [(ErrorKind, &str); 18] = [
    (ErrorKind::InvalidConfig, "invalid-config"),
    (ErrorKind::InvalidKey, "invalid-key"),
    (ErrorKind::InvalidFrame, "invalid-frame"),
    (ErrorKind::NewerFrame, "newer-frame"),
    (ErrorKind::Untrusted, "untrusted"),
    (ErrorKind::NotFound, "not-found"),
    (ErrorKind::WrongType, "wrong-type"),
    (ErrorKind::Encode, "encode"),
    (ErrorKind::Unreachable, "unreachable"),
    (ErrorKind::Timeout, "timeout"),
    (ErrorKind::PermissionDenied, "permission-denied"),
    (ErrorKind::Full, "full"),
    (ErrorKind::TooLarge, "too-large"),
    (ErrorKind::Closed, "closed"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::WrongHost, "wrong-host"),
    (ErrorKind::Foreign, "foreign"),
    (ErrorKind::Io, "io"),
];

fn kind_name(kind: ErrorKind) -> &'static str {
    let found = KINDS.iter().find(|(known, _)| *known == kind);
    found.map_or("io", |(_, name)| name)
}

fn kind_of(name: &str) -> ErrorKind {
    let found = KINDS.iter().find(|(_, known)| *known == name);
    found.map_or(ErrorKind::Io, |(kind, _)| *kind)
}
