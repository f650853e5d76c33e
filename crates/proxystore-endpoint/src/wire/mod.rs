//! The local protocol: what clients and a daemon say to one another, as bytes. No socket is known
//! here. docs/endpoint-protocol.md has the layout.
//!
//! A message is a prefix of 16 bytes, its fields, and perhaps a body: the bytes of an object. The
//! prefix keeps its layout in every version.

mod answer;
mod fields;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Record};
pub use request::Request;

use proxystore::{Error, ErrorKind, Result};

/// The version that is spoken here.
pub const VERSION: u8 = 1;
/// Bytes of a prefix.
pub const PREFIX: usize = 16;
/// Most bytes of a request's fields.
pub const REQUEST_FIELDS: usize = 64 << 10;
/// Most bytes of an answer's fields.
pub const ANSWER_FIELDS: usize = 4 << 20;
/// Most bytes of an object that is sent without being offered first.
pub const UNASKED: u64 = 1 << 20;

const MAGIC: [u8; 2] = *b"PE";

/// The first bytes of a message: what kind it is, and how much follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The protocol's version.
    pub version: u8,
    /// Which message.
    pub kind: u8,
    /// Bytes of fields that follow.
    pub fields: u32,
    /// Bytes of an object that follow the fields.
    pub body: u64,
}

impl Prefix {
    /// Reads a prefix and holds its fields to a limit, before memory is taken for them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] for what is no message, [`ErrorKind::NewerFrame`] for another
    /// version, [`ErrorKind::TooLarge`] for fields above the limit.
    pub fn decode(bytes: &[u8; PREFIX], limit: usize) -> Result<Self> {
        if bytes[..2] != MAGIC {
            return Err(Error::new(
                ErrorKind::InvalidFrame,
                "what came is not the protocol of endpoints",
            ));
        }
        let mut fields = [0; 4];
        fields.copy_from_slice(&bytes[4..8]);
        let mut body = [0; 8];
        body.copy_from_slice(&bytes[8..]);
        let prefix = Self {
            version: bytes[2],
            kind: bytes[3],
            fields: u32::from_le_bytes(fields),
            body: u64::from_le_bytes(body),
        };
        if prefix.version != VERSION {
            return Err(Error::new(
                ErrorKind::NewerFrame,
                format!(
                    "the other side speaks version {} of the endpoints' protocol, this one version \
                     {VERSION}: bring both to the same release of proxystore",
                    prefix.version
                ),
            ));
        }
        if prefix.fields as usize > limit {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a message of {} bytes; {limit} are taken", prefix.fields),
            ));
        }
        Ok(prefix)
    }

    fn encode(self) -> [u8; PREFIX] {
        let mut bytes = [0; PREFIX];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = self.version;
        bytes[3] = self.kind;
        bytes[4..8].copy_from_slice(&self.fields.to_le_bytes());
        bytes[8..].copy_from_slice(&self.body.to_le_bytes());
        bytes
    }
}

/// A message that only has a kind so far; the prefix is filled in at the end.
fn begin() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.resize(PREFIX, 0);
    bytes
}

fn finish(mut bytes: Vec<u8>, kind: u8, body: u64) -> Vec<u8> {
    let prefix = Prefix {
        version: VERSION,
        kind,
        // Writers hold texts to their limits, so this is far below 4 GiB.
        fields: (bytes.len() - PREFIX) as u32,
        body,
    };
    bytes[..PREFIX].copy_from_slice(&prefix.encode());
    bytes
}

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidFrame, what)
}
