//! What clients ask.

use super::fields::{self, Reader};
use super::{Prefix, begin, finish, malformed};
use proxystore::Result;

/// A question. `peer` is empty for the endpoint itself; else it names the one to be asked.
///
/// ```
/// use proxystore_endpoint::wire::{PREFIX, Prefix, REQUEST_FIELDS, Request};
///
/// let bytes = Request::Exists { peer: "", key: "k" }.encode(0);
/// let head = bytes.first_chunk::<PREFIX>().expect("a prefix");
/// let prefix = Prefix::decode(head, REQUEST_FIELDS)?;
/// assert_eq!(Request::decode(prefix, &bytes[PREFIX..])?, Request::Exists { peer: "", key: "k" });
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Comes first. The token is asked of clients that do not come by the unix socket.
    Hello {
        /// The secret of the endpoint's folder.
        token: &'a str,
    },
    /// Announces an object that is longer than is sent unasked.
    Offer {
        /// Who is to keep it.
        peer: &'a str,
        /// Under which name.
        key: &'a str,
        /// Its bytes.
        len: u64,
        /// Whether the client can fill shared memory.
        shared: bool,
    },
    /// Keeps an object: the body, or what the client wrote into the memory it was lent.
    Put {
        /// Who is to keep it.
        peer: &'a str,
        /// Under which name.
        key: &'a str,
        /// Whether the lent memory has it.
        shared: bool,
        /// Its bytes.
        len: u64,
    },
    /// Asks for an object.
    Get {
        /// Who has it.
        peer: &'a str,
        /// Its name.
        key: &'a str,
        /// Whether the client can map shared memory.
        shared: bool,
    },
    /// Asks whether there is an object.
    Exists {
        /// Who may have it.
        peer: &'a str,
        /// Its name.
        key: &'a str,
    },
    /// Removes an object.
    Evict {
        /// Who may have it.
        peer: &'a str,
        /// Its name.
        key: &'a str,
    },
    /// Lists names of objects here, in order, after one.
    Keys {
        /// The last one that is known.
        after: &'a str,
    },
    /// Removes all objects here.
    Clear,
    /// Asks how the endpoint is.
    Status,
    /// Asks how the peers are connected.
    Peers,
    /// Lets a peer in.
    PeerAdd {
        /// Its public key.
        key: &'a str,
        /// Its UUID, or nothing.
        uuid: &'a str,
        /// A name for people, or nothing.
        label: &'a str,
        /// Addresses, with spaces between.
        addresses: &'a str,
    },
    /// Takes a peer off the list.
    PeerRemove {
        /// Its key, UUID or label.
        name: &'a str,
    },
    /// Lists who may come in.
    PeerList,
}

impl<'a> Request<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Offer { .. } => 2,
            Self::Put { .. } => 3,
            Self::Get { .. } => 4,
            Self::Exists { .. } => 5,
            Self::Evict { .. } => 6,
            Self::Keys { .. } => 7,
            Self::Clear => 8,
            Self::Status => 9,
            Self::Peers => 10,
            Self::PeerAdd { .. } => 11,
            Self::PeerRemove { .. } => 12,
            Self::PeerList => 13,
        }
    }

    /// The message, up to its body of `body` bytes.
    #[must_use]
    pub fn encode(&self, body: u64) -> Vec<u8> {
        let mut bytes = begin();
        let out = &mut bytes;
        match *self {
            Self::Hello { token } => fields::text(out, token),
            Self::Offer {
                peer,
                key,
                len,
                shared,
            }
            | Self::Put {
                peer,
                key,
                shared,
                len,
            } => {
                fields::text(out, peer);
                fields::text(out, key);
                fields::number(out, len);
                out.push(shared.into());
            }
            Self::Get { peer, key, shared } => {
                fields::text(out, peer);
                fields::text(out, key);
                out.push(shared.into());
            }
            Self::Exists { peer, key } | Self::Evict { peer, key } => {
                fields::text(out, peer);
                fields::text(out, key);
            }
            Self::Keys { after } => fields::text(out, after),
            Self::PeerRemove { name } => fields::text(out, name),
            Self::PeerAdd {
                key,
                uuid,
                label,
                addresses,
            } => {
                for text in [key, uuid, label, addresses] {
                    fields::text(out, text);
                }
            }
            Self::Clear | Self::Status | Self::Peers | Self::PeerList => {}
        }
        finish(bytes, self.kind(), body)
    }

    /// Reads the fields that follow a prefix.
    ///
    /// # Errors
    /// [`InvalidFrame`](proxystore::ErrorKind::InvalidFrame) if they are none of this protocol.
    pub fn decode(prefix: Prefix, bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let request = match prefix.kind {
            1 => Self::Hello {
                token: reader.text()?,
            },
            2 => Self::Offer {
                peer: reader.text()?,
                key: reader.text()?,
                len: reader.number()?,
                shared: reader.flag()?,
            },
            3 => {
                let (peer, key) = (reader.text()?, reader.text()?);
                let (len, shared) = (reader.number()?, reader.flag()?);
                if prefix.body != if shared { 0 } else { len } {
                    return Err(malformed("a body of another length than it says"));
                }
                Self::Put {
                    peer,
                    key,
                    shared,
                    len,
                }
            }
            4 => Self::Get {
                peer: reader.text()?,
                key: reader.text()?,
                shared: reader.flag()?,
            },
            5 => Self::Exists {
                peer: reader.text()?,
                key: reader.text()?,
            },
            6 => Self::Evict {
                peer: reader.text()?,
                key: reader.text()?,
            },
            7 => Self::Keys {
                after: reader.text()?,
            },
            8 => Self::Clear,
            9 => Self::Status,
            10 => Self::Peers,
            11 => Self::PeerAdd {
                key: reader.text()?,
                uuid: reader.text()?,
                label: reader.text()?,
                addresses: reader.text()?,
            },
            12 => Self::PeerRemove {
                name: reader.text()?,
            },
            13 => Self::PeerList,
            _ => return Err(malformed("a request that is not known")),
        };
        if prefix.body != 0 && prefix.kind != 3 {
            return Err(malformed("a body that belongs to nothing"));
        }
        reader.finish()?;
        Ok(request)
    }
}
