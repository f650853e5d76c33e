//! What is done on one connection, to the keys of one namespace.

use super::chunks::{ChunkHead, HEAD_LEN, ORPHANS_LIVE, WINDOW, needs_chunks};
use super::cluster::{slot_of, tag_of};
use super::connection::{Connection, Failure};
use super::lease::{chunk_millis, millis};
use super::protocol::Commands;
use super::removal::Debris;
use crate::blob::Buffer;
use crate::cutter::Cutter;
use crate::{Key, Payload};
use std::time::Duration;

/// Reads of an object that was replaced under the reader, before that is an error.
const ATTEMPTS: usize = 8;

/// The keys of one namespace.
#[derive(Debug)]
pub(super) struct Keyspace {
    pub(super) prefix: String,
    /// Keys belong to slots, and one command is about keys of one slot.
    pub(super) is_cluster: bool,
}

impl Keyspace {
    pub(super) fn new(prefix: String, is_cluster: bool) -> Self {
        Self { prefix, is_cluster }
    }

    /// In a cluster, the chunks of an object lie in its slot, so that one transaction can make them
    /// and the head visible, and a replica has a head only with its chunks.
    fn tag(&self, name: &[u8]) -> Option<u32> {
        self.is_cluster.then(|| tag_of(slot_of(name)))
    }

    /// The head that these bytes, from under a key, may be.
    pub(super) fn head(&self, name: &[u8], bytes: &[u8]) -> Option<ChunkHead> {
        let head = ChunkHead::parse(bytes)?;
        Some(head.with_tag(self.tag(name)))
    }

    /// The server's key.
    pub(super) fn name(&self, key: &Key) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_str().as_bytes()].concat()
    }

    /// Sends the chunks of a value. They expire unless [`publish`](Self::publish) follows.
    fn send_chunks(
        &self,
        connection: &mut Connection,
        payload: &Payload<'_>,
        head: &ChunkHead,
    ) -> Result<(), Failure> {
        let mut cutter = Cutter::new(payload);
        let (mut sent, mut answered) = (0, 0);
        while answered < head.count() {
            if sent < head.count() && sent - answered < WINDOW {
                let (pieces, len) = cutter.next_part(head.chunk_len);
                let mut commands = Commands::new();
                commands.begin(5);
                commands.argument(b"SET");
                commands.argument(&head.name(&self.prefix, sent));
                commands.value(pieces.into_iter(), len);
                commands.argument(b"PX");
                commands.argument(&payload.lease().map_or(ORPHANS_LIVE.to_vec(), chunk_millis));
                connection.send(&commands)?;
                sent += 1;
            } else {
                connection.ok()?;
                answered += 1;
            }
        }
        Ok(())
    }

    /// Makes sent chunks visible under a key, at once, and returns what was there before.
    fn publish(
        &self,
        connection: &mut Connection,
        name: &[u8],
        head: &ChunkHead,
        lease: Option<Duration>,
        is_told: bool,
    ) -> Result<Option<ChunkHead>, Failure> {
        let mut commands = Commands::of(&[b"MULTI"]);
        for index in 0..head.count() {
            let chunk = head.name(&self.prefix, index);
            match lease {
                None => commands.push(&[b"PERSIST", &chunk]),
                Some(lease) => commands.push(&[b"PEXPIRE", &chunk, &chunk_millis(lease)]),
            }
        }
        commands.push(&[b"GETRANGE", name, b"0", LAST_OF_HEAD]);
        match lease {
            None => commands.push(&[b"SET", name, &head.to_bytes()]),
            Some(lease) => commands.push(&[b"SET", name, &head.to_bytes(), b"PX", &millis(lease)]),
        }
        commands.push(&[b"EXEC"]);
        if is_told {
            push_tell(&mut commands, name);
        }
        connection.send(&commands)?;
        let published = connection.transaction(head.count() + 2, |connection| {
            let mut kept = 0;
            for _ in 0..head.count() {
                kept += connection.integer()?;
            }
            let old = connection.bulk()?;
            connection.ok()?;
            if kept == head.count() as i64 {
                Ok(old.and_then(|old| self.head(name, &old)))
            } else {
                Err(Failure::Server(
                    "OOM part of the object was evicted while the rest was sent, or expired as the \
                     server's clock jumped"
                        .to_owned(),
                ))
            }
        });
        if is_told && matches!(published, Ok(_) | Err(Failure::Server(_))) {
            let told = told(connection);
            return published.and_then(|old| told.map(|()| old));
        }
        published
    }

    /// Stores a value that has to be cut. Failing, it leaves nothing behind if it can.
    pub(super) fn set_chunked(
        &self,
        connection: &mut Connection,
        name: &[u8],
        payload: &Payload<'_>,
        is_told: bool,
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        let head = ChunkHead::fresh(payload.len()).with_tag(self.tag(name));
        let sent = self.send_chunks(connection, payload, &head);
        let published =
            sent.and_then(|()| self.publish(connection, name, &head, payload.lease(), is_told));
        match published {
            Ok(old) => {
                debris.extend(name, old);
                self.remove_debris(connection, debris, &[name])
            }
            Err(failure) => {
                // On a broken connection nothing can be done; the chunks expire.
                if matches!(failure, Failure::Server(_)) {
                    let _ = self.abandon(connection, name, &head);
                }
                debris.extend(name, [head]);
                Err(failure)
            }
        }
    }

    /// Stores under a key that nobody else knows yet.
    pub(super) fn set_fresh(
        &self,
        connection: &mut Connection,
        name: &[u8],
        payload: &Payload<'_>,
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        if needs_chunks(payload) {
            return self.set_chunked(connection, name, payload, false, debris);
        }
        let mut commands = Commands::new();
        push_set(&mut commands, name, payload);
        connection.send(&commands)?;
        connection.ok()
    }

    /// Stores under a key that may hold something already, and tells those who wait for it.
    pub(super) fn replace(
        &self,
        connection: &mut Connection,
        name: &[u8],
        payload: &Payload<'_>,
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        if needs_chunks(payload) {
            return self.set_chunked(connection, name, payload, true, debris);
        }
        let mut commands = Commands::of(&[b"MULTI"]);
        commands.push(&[b"GETRANGE", name, b"0", LAST_OF_HEAD]);
        push_set(&mut commands, name, payload);
        commands.push(&[b"EXEC"]);
        push_tell(&mut commands, name);
        connection.send(&commands)?;
        let old = connection.transaction(2, |connection| {
            let old = connection.bulk()?;
            connection.ok()?;
            Ok(old)
        });
        let old = old?;
        told(connection)?;
        debris.extend(name, old.and_then(|old| self.head(name, &old)));
        self.remove_debris(connection, debris, &[name])
    }

    /// Reads what stands under a server's key, together with its chunks.
    pub(super) fn read(
        &self,
        connection: &mut Connection,
        name: &[u8],
    ) -> Result<Option<Buffer>, Failure> {
        connection.send(&Commands::of(&[b"GET", name]))?;
        let Some(value) = connection.bulk()? else {
            return Ok(None);
        };
        match self.head(name, &value) {
            None => Ok(Some(value)),
            Some(head) => self.read_chunks(connection, name, head),
        }
    }

    /// Joins the chunks of a head in one buffer. If they go meanwhile, what has come in their
    /// place is read.
    pub(super) fn read_chunks(
        &self,
        connection: &mut Connection,
        name: &[u8],
        mut head: ChunkHead,
    ) -> Result<Option<Buffer>, Failure> {
        for _ in 0..ATTEMPTS {
            let buffer = Buffer::try_with_len(head.len);
            let mut buffer = buffer.ok_or(Failure::NoMemory(head.len))?;
            let Some(missing) = self.fill_from_chunks(connection, &head, &mut buffer)? else {
                return Ok(Some(buffer));
            };
            connection.send(&Commands::of(&[b"GET", name]))?;
            let Some(value) = connection.bulk()? else {
                return Ok(None);
            };
            match self.head(name, &value) {
                None => return Ok(Some(value)),
                Some(same) if same == head => {
                    return Err(Failure::Protocol(format!(
                        "chunk {missing} of {} is missing: was it evicted by the server \
                         (`maxmemory-policy`), or removed by hand?",
                        head.count()
                    )));
                }
                Some(other) => head = other,
            }
        }
        Err(Failure::Protocol(format!(
            "the object was replaced {ATTEMPTS} times while it was read"
        )))
    }

    /// Receives every chunk into its place. Gives the first one that is missing.
    fn fill_from_chunks(
        &self,
        connection: &mut Connection,
        head: &ChunkHead,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, Failure> {
        let mut missing = None;
        let mut requested = 0;
        for (index, place) in buffer.chunks_mut(head.chunk_len).enumerate() {
            let wanted = (index + WINDOW).min(head.count());
            if missing.is_none() && requested < wanted {
                let mut commands = Commands::new();
                for next in requested..wanted {
                    commands.push(&[b"GET", &head.name(&self.prefix, next)]);
                }
                connection.send(&commands)?;
                requested = wanted;
            }
            if index >= requested {
                break;
            }
            if !connection.bulk_into(place)? {
                missing = missing.or(Some(index));
            }
        }
        Ok(missing)
    }

    /// The keys of the namespace's objects.
    pub(super) fn keys(
        &self,
        connection: &mut Connection,
        keys: &mut Vec<Key>,
    ) -> Result<(), Failure> {
        self.scan(connection, |_, found| {
            // Chunks have a `/` in their names, which no key has.
            let ours = found.iter().filter_map(|name| {
                let name = name.strip_prefix(self.prefix.as_bytes())?;
                Key::new(std::str::from_utf8(name).ok()?).ok()
            });
            keys.extend(ours);
            Ok(())
        })
    }

    /// Shows all names of the namespace, some at a time.
    pub(super) fn scan(
        &self,
        connection: &mut Connection,
        mut see: impl FnMut(&mut Connection, Vec<Vec<u8>>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let pattern = [&glob_escaped(self.prefix.as_bytes())[..], b"*"].concat();
        let mut cursor = b"0".to_vec();
        loop {
            let scan: &[&[u8]] = &[b"SCAN", &cursor, b"MATCH", &pattern, b"COUNT", b"1000"];
            connection.send(&Commands::of(scan))?;
            if connection.array()? != 2 {
                return Err(Failure::Protocol("an odd answer to SCAN".to_owned()));
            }
            cursor = connection
                .bulk()?
                .map(|next| next.to_vec())
                .unwrap_or_default();
            let mut found = Vec::new();
            for _ in 0..connection.array()? {
                found.extend(connection.bulk()?.map(|name| name.to_vec()));
            }
            see(connection, found)?;
            if cursor == b"0" {
                return Ok(());
            }
        }
    }
}

/// Offset of the last byte that a head may have, and one more: a longer value is no head.
pub(super) const LAST_OF_HEAD: &[u8] = b"56";
const _: () = assert!(HEAD_LEN == 56);

pub(super) fn push_set<'a>(commands: &mut Commands<'a>, name: &[u8], payload: &Payload<'a>) {
    commands.begin(if payload.lease().is_some() { 5 } else { 3 });
    commands.argument(b"SET");
    commands.argument(name);
    commands.value(payload.pieces().iter().copied(), payload.len());
    if let Some(lease) = payload.lease() {
        commands.argument(b"PX");
        commands.argument(&millis(lease));
    }
}

/// Wakes those who wait for an object. Its channel has the name of its key.
fn push_tell(commands: &mut Commands<'_>, name: &[u8]) {
    commands.push(&[b"PUBLISH", name, b""]);
}

/// The answer to it. Users who may not are not told: who waits asks now and then.
fn told(connection: &mut Connection) -> Result<(), Failure> {
    match connection.integer() {
        Ok(_) | Err(Failure::Server(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Takes their meaning from the characters that are special in a pattern.
fn glob_escaped(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if b"*?[]\\^".contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}
