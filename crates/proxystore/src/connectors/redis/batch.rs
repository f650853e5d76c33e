//! Many objects in few commands.

use super::chunks::needs_chunks;
use super::connection::{Connection, Failure};
use super::keyspace::Keyspace;
use super::protocol::Commands;
use super::removal::Debris;
use crate::Payload;
use crate::blob::Buffer;

/// Most objects, and about the most bytes, of one command: a server works on one command at a
/// time, and others wait.
const BATCH_COUNT: usize = 1024;
const BATCH_LEN: usize = 4 << 20;
/// Commands on their way at once.
const WINDOW: usize = 4;
/// Objects in the first command of a batch of gets, whose sizes are not known yet.
const FIRST_BATCH: usize = 64;

impl Keyspace {
    /// Puts a whole batch under keys that nobody else knows yet, or nothing of it.
    pub(super) fn put_all<'p, 'a>(
        &self,
        connection: &mut Connection,
        objects: &[(&'p [u8], &'p Payload<'a>)],
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        let put = self.put_each(connection, objects, debris);
        if let Err(Failure::Server(_)) = &put {
            let names: Vec<_> = objects.iter().map(|(name, _)| name).collect();
            // On the same connection: what was sent ahead on it is stored before it is removed.
            let _ = connection
                .drain()
                .and_then(|()| self.remove(connection, &names, debris));
        }
        put
    }

    /// Puts them, small ones many to a command.
    fn put_each<'p, 'a>(
        &self,
        connection: &mut Connection,
        objects: &[(&'p [u8], &'p Payload<'a>)],
        debris: &mut Debris,
    ) -> Result<(), Failure> {
        let are_together = |payload: &Payload<'_>| payload.lease().is_none() && !self.is_cluster;
        let mut unanswered = 0;
        let mut small = Vec::new();
        let mut small_len = 0;
        for (index, &(name, payload)) in objects.iter().enumerate() {
            if !needs_chunks(payload) && are_together(payload) {
                small.push((name, payload));
                small_len += payload.len();
            }
            let last = index + 1 == objects.len();
            let full = small.len() >= BATCH_COUNT || small_len >= BATCH_LEN;
            if !small.is_empty() && (full || last) {
                let mut commands = Commands::new();
                commands.begin(1 + 2 * small.len());
                commands.argument(b"MSET");
                for (name, payload) in small.drain(..) {
                    commands.argument(name);
                    commands.value(payload.pieces().iter().copied(), payload.len());
                }
                small_len = 0;
                if unanswered == WINDOW {
                    connection.ok()?;
                    unanswered -= 1;
                }
                connection.send(&commands)?;
                unanswered += 1;
            }
        }
        for _ in 0..unanswered {
            connection.ok()?;
        }
        let objects = || objects.iter().copied();
        let alone = objects().filter(|(_, one)| !needs_chunks(one) && !are_together(one));
        self.set_one_by_one(connection, alone)?;
        objects()
            .filter(|(_, payload)| needs_chunks(payload))
            .try_for_each(|(name, payload)| {
                self.set_chunked(connection, name, payload, false, debris)
            })
    }

    /// Gets a whole batch, many to a command.
    pub(super) fn get_all(
        &self,
        connection: &mut Connection,
        names: &[&[u8]],
    ) -> Result<Vec<Option<Buffer>>, Failure> {
        let mut values = Vec::with_capacity(names.len());
        let mut received = 0;
        while values.len() < names.len() {
            let done = values.len();
            // As many as should fit the bounds, going by those that came so far.
            let count = match done {
                0 => FIRST_BATCH,
                done => (BATCH_LEN * done / received.max(1)).clamp(WINDOW, BATCH_COUNT),
            };
            let wanted = &names[done..names.len().min(done + count)];
            let mut commands = Commands::new();
            if self.is_cluster {
                wanted
                    .iter()
                    .for_each(|name| commands.push(&[b"GET", name]));
                connection.send(&commands)?;
            } else {
                commands.begin(1 + wanted.len());
                commands.argument(b"MGET");
                wanted.iter().for_each(|name| commands.argument(name));
                connection.send(&commands)?;
                connection.array()?;
            }
            for _ in wanted {
                let value = connection.bulk()?;
                received += value.as_deref().map_or(0, <[u8]>::len);
                values.push(value);
            }
        }
        for (name, value) in names.iter().zip(&mut values) {
            if let Some(head) = value.as_deref().and_then(|value| self.head(name, value)) {
                *value = self.read_chunks(connection, name, head)?;
            }
        }
        Ok(values)
    }
}
