//! Removing objects, and what is left of them.

use super::chunks::ChunkHead;
use super::connection::{Connection, Failure};
use super::keyspace::{Keyspace, LAST_OF_HEAD};
use super::protocol::Commands;
use std::collections::HashMap;

/// Keys that one command removes at most: a server works on one command at a time.
const MANY: usize = 1024;

/// Heads that are gone while their chunks are there still, by the names that they had. A call that
/// is repeated keeps them: it would find no head any more.
#[derive(Debug, Default)]
pub(super) struct Debris(HashMap<Vec<u8>, Vec<ChunkHead>>);

impl Debris {
    pub(super) fn extend(&mut self, name: &[u8], heads: impl IntoIterator<Item = ChunkHead>) {
        for head in heads {
            self.0.entry(name.to_vec()).or_default().push(head);
        }
    }
}

impl Keyspace {
    /// Removes server's keys with the chunks that they are heads of.
    pub(super) fn remove(
        &self,
        connection: &mut Connection,
        names: &[impl AsRef<[u8]>],
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        for names in names.chunks(MANY) {
            match self.take(connection, names, debris, true) {
                // A full server queues no command of a transaction, not even those that make room.
                // Then nobody can put a new head in between either.
                Err(Failure::Server(refused)) if refused.starts_with("OOM") => {
                    connection.drain()?;
                    self.take(connection, names, debris, false)?;
                }
                taken => taken?,
            }
            self.remove_debris(connection, debris, names)?;
        }
        Ok(())
    }

    /// Removes keys, and notes the heads that stood there: at once, or one after the other.
    fn take(
        &self,
        connection: &mut Connection,
        names: &[impl AsRef<[u8]>],
        debris: &mut Debris,
        is_at_once: bool,
    ) -> Result<(), Failure> {
        // A transaction for all, or one for each.
        let together = if self.is_cluster { 1 } else { MANY };
        let mut commands = Commands::new();
        for some in names.chunks(together) {
            if is_at_once {
                commands.push(&[b"MULTI"]);
            }
            for name in some {
                commands.push(&[b"GETRANGE", name.as_ref(), b"0", LAST_OF_HEAD]);
            }
            push_unlink(&mut commands, some);
            if is_at_once {
                commands.push(&[b"EXEC"]);
            }
        }
        connection.send(&commands)?;
        for some in names.chunks(together) {
            let mut read = |connection: &mut Connection| {
                for name in some {
                    let value = connection.bulk()?;
                    let head = value.and_then(|value| self.head(name.as_ref(), &value));
                    debris.extend(name.as_ref(), head);
                }
                connection.integer().map(drop)
            };
            if is_at_once {
                connection.transaction(some.len() + 1, read)?;
            } else {
                read(connection)?;
            }
        }
        Ok(())
    }

    /// Removes keys that are heads of nothing.
    fn unlink(
        &self,
        connection: &mut Connection,
        names: &[impl AsRef<[u8]>],
    ) -> Result<(), Failure> {
        let together = if self.is_cluster { 1 } else { MANY };
        for names in names.chunks(MANY) {
            let mut commands = Commands::new();
            for some in names.chunks(together) {
                push_unlink(&mut commands, some);
            }
            connection.send(&commands)?;
            for _ in 0..commands.count() {
                connection.integer()?;
            }
        }
        Ok(())
    }

    /// Removes every key of the namespace that this server has. Gives those that have moved to
    /// another one.
    pub(super) fn clear(&self, connection: &mut Connection) -> Result<Vec<Vec<u8>>, Failure> {
        let mut moved = Vec::new();
        self.scan(connection, |connection, found| {
            if !self.is_cluster {
                return self.unlink(connection, &found);
            }
            let mut commands = Commands::new();
            for name in &found {
                push_unlink(&mut commands, &[name]);
            }
            connection.send(&commands)?;
            for name in found {
                match connection.integer() {
                    Ok(_) => {}
                    Err(Failure::Server(_)) => moved.push(name),
                    Err(failure) => return Err(failure),
                }
            }
            Ok(())
        })?;
        Ok(moved)
    }

    /// Removes one key, whatever it is.
    pub(super) fn clear_one(
        &self,
        connection: &mut Connection,
        name: &[u8],
    ) -> Result<(), Failure> {
        self.unlink(connection, &[name])
    }

    /// Removes the chunks of a value whose head is gone.
    fn remove_chunks(&self, connection: &mut Connection, head: &ChunkHead) -> Result<(), Failure> {
        let names: Vec<_> = (0..head.count())
            .map(|index| head.name(&self.prefix, index))
            .collect();
        self.unlink(connection, &names)
    }

    /// Removes the chunks of what was under these names.
    pub(super) fn remove_debris(
        &self,
        connection: &mut Connection,
        debris: &mut Debris,
        names: &[impl AsRef<[u8]>],
    ) -> Result<(), Failure> {
        for name in names {
            if let Some(heads) = debris.0.get(name.as_ref()) {
                for head in heads {
                    self.remove_chunks(connection, head)?;
                }
                debris.0.remove(name.as_ref());
            }
        }
        Ok(())
    }

    /// After a refusal: removes the chunks, and the head if it came to be. Best effort.
    pub(super) fn abandon(
        &self,
        connection: &mut Connection,
        name: &[u8],
        head: &ChunkHead,
    ) -> Result<(), Failure> {
        connection.drain()?;
        connection.send(&Commands::of(&[b"GETRANGE", name, b"0", LAST_OF_HEAD]))?;
        let there = connection.bulk()?;
        if there.is_some_and(|there| there[..] == head.to_bytes()) {
            self.unlink(connection, &[name.to_vec()])?;
        }
        self.remove_chunks(connection, head)
    }
}

fn push_unlink(commands: &mut Commands<'_>, names: &[impl AsRef<[u8]>]) {
    commands.begin(1 + names.len());
    commands.argument(b"UNLINK");
    names
        .iter()
        .for_each(|name| commands.argument(name.as_ref()));
}
