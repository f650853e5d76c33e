//! What peers say to each other, byte by byte. No sockets here.
//!
//! A *channel* is a pair of byte streams, one each way, that both sides take turns on. A message is a header of
//! eight bytes (length of the body as `u32`, kind as `u8`, three zeros) and its body. Integers are little-endian;
//! text and keys are a `u16` length and the bytes. After [`Message::Found`], [`Message::Write`] and a small
//! [`Message::Put`] the object's bytes follow. TLS and QUIC see to it that they arrive as they were sent.
//!
//! | request | answer |
//! |---|---|
//! | `Hello` | `Welcome` |
//! | `Get` | `Found`, the bytes asked for; or, where only that is wanted, their [`checksum`], eight bytes |
//! | `Put` of up to [`EAGER`] bytes, the bytes | `Done` |
//! | `Put` of more | `Go`, with the ticket that `Write` and `Finish` name |
//! | `Write`, the bytes | `Done` |
//! | `Finish` | `Done` |
//! | `Exists`, `Evict` | `Answer` |
//! | `Ping` | `Done` |
//!
//! Any request may be answered by `Failed`: a kind and a sentence. Lengths are announced before bytes move, so that
//! a receiver refuses what it cannot hold before it is sent.

use super::wire_error::Cause;
use crate::identity::Alias;
use std::fmt;

/// The protocol's versions that this software speaks: the lowest and the highest.
pub const VERSIONS: (u16, u16) = (1, 1);
/// What QUIC and TLS agree on before a byte of ours moves.
pub const PROTOCOL_NAME: &[u8] = b"proxystore/peer";
/// The first bytes of a `Hello`.
const MAGIC: [u8; 8] = *b"PSTRPEER";
/// Bytes of a message's header.
pub const HEADER: usize = 8;
/// The longest body of a message, in bytes.
pub const LONGEST_BODY: usize = 16 * 1024;
/// The longest key of an object, in bytes.
pub const LONGEST_KEY: usize = 1024;
/// Objects up to this size are sent with their `Put`: asking first would cost a round trip.
pub const EAGER: u64 = 64 * 1024;
/// Bytes of a checksum.
pub const CHECKSUM: usize = 8;

/// One message. The bytes of objects are not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message of whoever opened the connection.
    Hello {
        /// Lowest and highest version spoken.
        versions: (u16, u16),
        /// Who speaks.
        introduction: Introduction,
    },
    /// The answer to `Hello`.
    Welcome {
        /// The version that both speak from here on.
        version: u16,
        /// Who speaks.
        introduction: Introduction,
    },
    /// Asks for a range of an object.
    Get {
        /// Which object.
        key: Vec<u8>,
        /// The stamp of the copy that earlier ranges came from; 0 for the first.
        stamp: u64,
        /// Where the range begins.
        offset: u64,
        /// How long it is; the answer is shorter where the object ends.
        length: u64,
        /// Whether the bytes are wanted, or only their checksum.
        bytes: bool,
    },
    /// The object's length, and the range whose bytes follow.
    Found {
        /// The length of the whole object.
        total: u64,
        /// Stands for this copy of the object: ranges with the same stamp are of the same bytes.
        stamp: u64,
        /// How many bytes of the range there are.
        length: u64,
    },
    /// Announces an object of this length.
    Put {
        /// Which object.
        key: Vec<u8>,
        /// Its length.
        total: u64,
    },
    /// The object may come.
    Go {
        /// What `Write` and `Finish` name it by.
        ticket: u64,
    },
    /// A range of an announced object; its bytes follow.
    Write {
        /// From `Go`.
        ticket: u64,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// Every range was written.
    Finish {
        /// From `Go`.
        ticket: u64,
    },
    /// Whether there is such an object.
    Exists {
        /// Which object.
        key: Vec<u8>,
    },
    /// Lets an object go.
    Evict {
        /// Which object.
        key: Vec<u8>,
    },
    /// Whether somebody is there.
    Ping,
    /// It was done.
    Done,
    /// Yes or no.
    Answer(bool),
    /// It was not done.
    Failed {
        /// Why, for programs.
        cause: Cause,
        /// Why, for people.
        words: String,
    },
}

/// Who speaks: beside its key, which the connection has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The UUID that stands for its key.
    pub alias: Alias,
    /// The largest object it takes, in bytes.
    pub limit: u64,
    /// The TCP port on which it takes connections, 0 for none.
    pub port: u16,
    /// Name and version of the software, for people.
    pub software: String,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The body is longer than any message's.
    TooLong(usize),
    /// A kind that this version does not know.
    UnknownKind(u8),
    /// The body ends too early, goes on too long, or a value in it is out of its range.
    Malformed(u8),
    /// A greeting of something else.
    NotAPeer,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "a message of {length} bytes is longer than any"),
            Self::UnknownKind(kind) => write!(f, "unknown message kind {kind}"),
            Self::Malformed(kind) => write!(f, "malformed message of kind {kind}"),
            Self::NotAPeer => f.write_str("the other side is no endpoint"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<WireError> for proxystore::Error {
    fn from(error: WireError) -> Self {
        Self::new(
            proxystore::ErrorKind::Io,
            format!("the peer broke the protocol: {error}"),
        )
    }
}

/// The checksum of an object's bytes from an offset on: XXH3, 64 bits, the offset as seed, so that bytes in the
/// wrong place do not pass. It tells whether a peer that was started anew has the object that ranges came from.
#[must_use]
pub fn checksum(offset: u64, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, offset)
}

/// Reads a header: the kind and the length of the body.
///
/// # Errors
/// A body longer than any, and bytes that must be zero but are not.
pub fn header(bytes: [u8; HEADER]) -> Result<(u8, usize), WireError> {
    let [a, b, c, d, kind, reserved @ ..] = bytes;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > LONGEST_BODY {
        return Err(WireError::TooLong(length));
    }
    if reserved != [0; 3] {
        return Err(WireError::Malformed(kind));
    }
    Ok((kind, length))
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Welcome { .. } => 2,
            Self::Get { .. } => 3,
            Self::Found { .. } => 4,
            Self::Put { .. } => 5,
            Self::Go { .. } => 6,
            Self::Write { .. } => 7,
            Self::Finish { .. } => 8,
            Self::Exists { .. } => 9,
            Self::Evict { .. } => 10,
            Self::Ping => 11,
            Self::Done => 12,
            Self::Answer(_) => 13,
            Self::Failed { .. } => 14,
        }
    }

    /// Appends the message, header and body, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, self.kind(), 0, 0, 0]);
        match self {
            Self::Hello {
                versions,
                introduction,
            } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&versions.0.to_le_bytes());
                out.extend_from_slice(&versions.1.to_le_bytes());
                introduction.encode(out);
            }
            Self::Welcome {
                version,
                introduction,
            } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                introduction.encode(out);
            }
            Self::Get {
                key,
                stamp,
                offset,
                length,
                bytes,
            } => {
                integers(out, &[*stamp, *offset, *length]);
                out.push(u8::from(*bytes));
                text(out, key);
            }
            Self::Found {
                total,
                stamp,
                length,
            } => integers(out, &[*total, *stamp, *length]),
            Self::Put { key, total } => {
                integers(out, &[*total]);
                text(out, key);
            }
            Self::Go { ticket } | Self::Finish { ticket } => integers(out, &[*ticket]),
            Self::Write {
                ticket,
                offset,
                length,
            } => integers(out, &[*ticket, *offset, *length]),
            Self::Exists { key } | Self::Evict { key } => text(out, key),
            Self::Ping | Self::Done => {}
            Self::Answer(yes) => out.push(u8::from(*yes)),
            Self::Failed { cause, words } => {
                out.push(cause.code());
                text(out, shortened(words, LONGEST_BODY / 4).as_bytes());
            }
        }
        let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Reads the body of a message of this kind.
    ///
    /// # Errors
    /// Bytes that are no message: see [`WireError`].
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader { rest: body, kind };
        let message = match kind {
            1 => {
                reader.magic()?;
                let versions = (reader.u16()?, reader.u16()?);
                let introduction = Introduction::decode(&mut reader)?;
                // What a later version appends to its greeting is not for us.
                reader.rest = &[];
                Self::Hello {
                    versions,
                    introduction,
                }
            }
            2 => {
                reader.magic()?;
                let version = reader.u16()?;
                let introduction = Introduction::decode(&mut reader)?;
                reader.rest = &[];
                Self::Welcome {
                    version,
                    introduction,
                }
            }
            3 => {
                let (stamp, offset, length) = (reader.u64()?, reader.u64()?, reader.u64()?);
                let bytes = reader.boolean()?;
                let key = reader.key()?;
                Self::Get {
                    key,
                    stamp,
                    offset,
                    length,
                    bytes,
                }
            }
            4 => Self::Found {
                total: reader.u64()?,
                stamp: reader.u64()?,
                length: reader.u64()?,
            },
            5 => Self::Put {
                total: reader.u64()?,
                key: reader.key()?,
            },
            6 => Self::Go {
                ticket: reader.u64()?,
            },
            7 => Self::Write {
                ticket: reader.u64()?,
                offset: reader.u64()?,
                length: reader.u64()?,
            },
            8 => Self::Finish {
                ticket: reader.u64()?,
            },
            9 => Self::Exists { key: reader.key()? },
            10 => Self::Evict { key: reader.key()? },
            11 => Self::Ping,
            12 => Self::Done,
            13 => Self::Answer(reader.boolean()?),
            14 => Self::Failed {
                cause: Cause::of_code(reader.u8()?),
                words: reader.words()?,
            },
            _ => return Err(WireError::UnknownKind(kind)),
        };
        if reader.rest.is_empty() {
            Ok(message)
        } else {
            Err(WireError::Malformed(kind))
        }
    }
}

impl Introduction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.alias.as_bytes());
        integers(out, &[self.limit]);
        out.extend_from_slice(&self.port.to_le_bytes());
        text(out, shortened(&self.software, 100).as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            alias: Alias::from_bytes(reader.array()?),
            limit: reader.u64()?,
            port: reader.u16()?,
            software: reader.words()?,
        })
    }
}

fn integers(out: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

fn shortened(words: &str, bytes: usize) -> &str {
    let mut end = words.len().min(bytes);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

struct Reader<'a> {
    rest: &'a [u8],
    kind: u8,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Malformed(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn magic(&mut self) -> Result<(), WireError> {
        match self.array() {
            Ok(MAGIC) => Ok(()),
            _ => Err(WireError::NotAPeer),
        }
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn boolean(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed(self.kind)),
        }
    }

    fn key(&mut self) -> Result<Vec<u8>, WireError> {
        let length = usize::from(self.u16()?);
        if length == 0 || length > LONGEST_KEY {
            return Err(WireError::Malformed(self.kind));
        }
        Ok(self.take(length)?.to_vec())
    }

    /// Text of a stranger, for people: what could play tricks on a terminal is replaced.
    fn words(&mut self) -> Result<String, WireError> {
        let length = usize::from(self.u16()?);
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|_| WireError::Malformed(self.kind))?;
        Ok(text
            .chars()
            .map(|letter| {
                if letter.is_control() {
                    '\u{fffd}'
                } else {
                    letter
                }
            })
            .collect())
    }
}
