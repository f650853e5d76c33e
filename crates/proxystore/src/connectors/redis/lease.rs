//! Objects that the server drops after a time, their chunks together with their heads.

use super::connection::{Connection, Failure};
use super::keyspace::{Keyspace, LAST_OF_HEAD, push_set};
use super::protocol::Commands;
use crate::Payload;
use std::time::Duration;

/// Commands on their way at once.
const MANY: usize = 256;
/// A chunk outlives its head, so that nobody finds a head without it.
const CHUNKS_OUTLIVE: Duration = Duration::from_secs(2);
/// The server counts in 64 bits from 1970; ends further off than this are as good as none.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A lease as the server counts it.
pub(super) fn millis(lease: Duration) -> Vec<u8> {
    lease
        .min(LONGEST)
        .as_millis()
        .max(1)
        .to_string()
        .into_bytes()
}

/// The same of a chunk.
pub(super) fn chunk_millis(lease: Duration) -> Vec<u8> {
    millis(lease.min(LONGEST) + CHUNKS_OUTLIVE)
}

impl Keyspace {
    /// Puts small objects, many on their way at once, where there is no command for them all: if
    /// they have leases, or are in several slots.
    pub(super) fn set_one_by_one<'p, 'a: 'p>(
        &self,
        connection: &mut Connection,
        objects: impl Iterator<Item = (&'p [u8], &'p Payload<'a>)>,
    ) -> Result<(), Failure> {
        let objects: Vec<_> = objects.collect();
        for some in objects.chunks(MANY) {
            let mut commands = Commands::new();
            for (name, payload) in some {
                push_set(&mut commands, name, payload);
            }
            connection.send(&commands)?;
            some.iter().try_for_each(|_| connection.ok())?;
        }
        Ok(())
    }

    /// Lets objects live for so long from now; says which are there.
    pub(super) fn touch(
        &self,
        connection: &mut Connection,
        names: &[&[u8]],
        lease: Duration,
    ) -> Result<Vec<bool>, Failure> {
        let mut touched = Vec::with_capacity(names.len());
        for names in names.chunks(MANY) {
            let mut commands = Commands::new();
            for name in names {
                commands.push(&[b"GETRANGE", name, b"0", LAST_OF_HEAD]);
            }
            connection.send(&commands)?;
            let mut heads = Vec::new();
            for name in names {
                let value = connection.bulk()?;
                heads.extend(value.and_then(|value| self.head(name, &value)));
            }
            // The chunks first: whoever finds the head finds them.
            for head in &heads {
                let mut commands = Commands::new();
                for index in 0..head.count() {
                    let chunk = head.name(&self.prefix, index);
                    commands.push(&[b"PEXPIRE", &chunk, &chunk_millis(lease)]);
                }
                connection.send(&commands)?;
                connection.drain()?;
            }
            let mut commands = Commands::new();
            for name in names {
                commands.push(&[b"PEXPIRE", name, &millis(lease)]);
            }
            connection.send(&commands)?;
            for _ in names {
                touched.push(connection.integer()? == 1);
            }
        }
        Ok(touched)
    }
}
