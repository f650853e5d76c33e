//! A connector at the other end of a pipe, so that connectors of another language can be tried.
//!
//! Requests go out, answers come back, both as a sequence of blocks: a `u64` length in little-endian
//! order, then the bytes. A request is `verb`, then a block with the number of further blocks, then
//! those: keys as text, then objects. An answer is `ok` or the name of an error kind, the number of
//! further blocks, and those. An absent object is the block `-`, a present one `+` and its bytes.

use proxystore::blob::Buffer;
use proxystore::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

/// Forwards every call, one at a time, over a reader and a writer.
pub struct PipeConnector<R, W> {
    ends: Mutex<(R, W)>,
    capability: Capability,
}

type Blocks = Vec<Vec<u8>>;

impl<R: Read + Send + 'static, W: Write + Send + 'static> PipeConnector<R, W> {
    /// A connector that answers through `answers` what it is asked through `requests`.
    pub fn new(answers: R, requests: W, capability: Capability) -> Self {
        Self {
            ends: Mutex::new((answers, requests)),
            capability,
        }
    }

    /// Sends one request and reads its answer.
    fn ask(&self, verb: &str, keys: &[&Key], objects: &[Vec<u8>]) -> Result<Blocks> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (answers, requests) = &mut *ends;
        let talk = || -> io::Result<(Vec<u8>, Blocks)> {
            write_block(requests, verb.as_bytes())?;
            write_block(
                requests,
                (keys.len() + objects.len()).to_string().as_bytes(),
            )?;
            for key in keys {
                write_block(requests, key.as_str().as_bytes())?;
            }
            for object in objects {
                write_block(requests, object)?;
            }
            requests.flush()?;
            let outcome = read_block(answers)?;
            let count = String::from_utf8_lossy(&read_block(answers)?)
                .parse()
                .unwrap_or(0);
            let blocks = (0..count)
                .map(|_| read_block(answers))
                .collect::<io::Result<_>>()?;
            Ok((outcome, blocks))
        };
        let (outcome, blocks) = { talk }().map_err(|error| Error::io(error, "asking the peer"))?;
        if outcome == b"ok" {
            return Ok(blocks);
        }
        let name = String::from_utf8_lossy(&outcome);
        let kind = ErrorKind::ALL
            .into_iter()
            .find(|kind| format!("{kind:?}") == name);
        let message = blocks
            .first()
            .map(|text| String::from_utf8_lossy(text).into_owned());
        Err(Error::new(
            kind.unwrap_or(ErrorKind::Foreign),
            message.unwrap_or_default(),
        ))
    }

    fn keys_of(blocks: Blocks) -> Result<Vec<Key>> {
        blocks
            .into_iter()
            .map(|name| Key::new(&String::from_utf8_lossy(&name)))
            .collect()
    }

    fn blob_of(block: &[u8], access: Access) -> Option<Blob> {
        let (mark, bytes) = block.split_first()?;
        (*mark == b'+').then(|| match access {
            Access::View => Blob::from(bytes.to_vec()),
            _ => {
                let mut buffer = Buffer::with_len(bytes.len());
                buffer.copy_from_slice(bytes);
                Blob::new(buffer)
            }
        })
    }
}

impl<R: Read + Send + 'static, W: Write + Send + 'static> Connector for PipeConnector<R, W> {
    fn kind(&self) -> &'static str {
        "pipe"
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let mut keys = Self::keys_of(self.ask("put", &[], &[payload.to_vec()])?)?;
        keys.pop()
            .ok_or_else(|| Error::new(ErrorKind::Foreign, "put gave no key"))
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let objects: Vec<_> = payloads.iter().map(Payload::to_vec).collect();
        Self::keys_of(self.ask("put_batch", &[], &objects)?)
    }

    fn new_key(&self) -> Key {
        let made = self.ask("new_key", &[], &[]).and_then(Self::keys_of);
        made.ok()
            .and_then(|mut keys| keys.pop())
            .unwrap_or_else(Key::fresh)
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.ask("set", &[key], &[payload.to_vec()]).map(drop)
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        let blocks = self.ask("get", &[key], &[])?;
        Ok(blocks
            .first()
            .and_then(|block| Self::blob_of(block, access)))
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        let keys: Vec<_> = keys.iter().collect();
        let blocks = self.ask("get_batch", &keys, &[])?;
        Ok(blocks
            .iter()
            .map(|block| Self::blob_of(block, access))
            .collect())
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        let blocks = self.ask("exists", &[key], &[])?;
        Ok(blocks.first().is_some_and(|block| block == b"+"))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.ask("evict", &[key], &[]).map(drop)
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        keys.iter().try_for_each(|key| self.evict(key))
    }

    fn close(&self, clear: bool) -> Result<()> {
        let verb = if clear { "clear" } else { "close" };
        self.ask(verb, &[], &[]).map(drop)
    }

    fn is_quick(&self, _len: usize) -> bool {
        false
    }
}

impl<R, W> fmt::Debug for PipeConnector<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipeConnector")
    }
}

impl<R, W> fmt::Display for PipeConnector<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pipe")
    }
}

/// Writes one block.
///
/// # Errors
/// What the writer says.
pub fn write_block(target: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    target.write_all(&(bytes.len() as u64).to_le_bytes())?;
    target.write_all(bytes)
}

fn read_block(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 8];
    source.read_exact(&mut len)?;
    let mut bytes = Vec::new();
    let len = u64::from_le_bytes(len);
    if source.take(len).read_to_end(&mut bytes)? as u64 == len {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
