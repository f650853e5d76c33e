//! Objects that peers are giving to us, range by range.

use super::Cause;
use crate::draft::{Draft, Slot};
use crate::identity::PublicKey;
use crate::object::Object;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a peer may pause before what it has sent is thrown away.
const PAUSE: Duration = Duration::from_secs(30);
/// Objects that one peer may be giving to us at once.
const AT_ONCE: usize = 64;

type Refusal = (Cause, String);

/// Objects on their way in, by ticket.
#[derive(Debug)]
pub(super) struct Incoming(Mutex<State>);

#[derive(Debug)]
struct State {
    next: u64,
    tickets: HashMap<u64, Ticket>,
}

#[derive(Debug)]
struct Ticket {
    peer: PublicKey,
    key: String,
    draft: Draft,
    written: HashSet<(u64, u64)>,
    used: Instant,
}

impl Incoming {
    /// Tickets begin anywhere, so that those of an earlier process are not taken for ours.
    pub(super) fn new(start: u64) -> Self {
        Self(Mutex::new(State {
            next: start,
            tickets: HashMap::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket for an object that may come.
    pub(super) fn admit(&self, peer: PublicKey, key: String, draft: Draft) -> Result<u64, Refusal> {
        let mut state = self.state();
        if state
            .tickets
            .values()
            .filter(|ticket| ticket.peer == peer)
            .count()
            >= AT_ONCE
        {
            return Err((
                Cause::Busy,
                format!("{AT_ONCE} objects are on their way already"),
            ));
        }
        state.next = state.next.wrapping_add(1);
        let number = state.next;
        let ticket = Ticket {
            peer,
            key,
            draft,
            written: HashSet::new(),
            used: Instant::now(),
        };
        state.tickets.insert(number, ticket);
        Ok(number)
    }

    /// Room for a range; `None` if it has come already.
    pub(super) fn slot(
        &self,
        peer: &PublicKey,
        ticket: u64,
        offset: u64,
        length: u64,
    ) -> Result<Option<Slot>, Refusal> {
        let mut state = self.state();
        let ticket = state.of(peer, ticket)?;
        if ticket.written.contains(&(offset, length)) {
            return Ok(None);
        }
        match ticket.draft.slot(offset, length) {
            Ok(slot) => Ok(Some(slot)),
            Err(_) if offset.saturating_add(length) <= ticket.draft.len() => {
                Err((Cause::Busy, "that range is being received already".into()))
            }
            Err(error) => Err((Cause::BadRequest, error.to_string())),
        }
    }

    /// Remembers that a range has come.
    pub(super) fn written(&self, ticket: u64, offset: u64, length: u64) {
        if let Some(ticket) = self.state().tickets.get_mut(&ticket) {
            ticket.written.insert((offset, length));
        }
    }

    /// The whole object.
    pub(super) fn finish(
        &self,
        peer: &PublicKey,
        number: u64,
    ) -> Result<(String, Object), Refusal> {
        let mut state = self.state();
        let ticket = state.of(peer, number)?;
        let object = ticket
            .draft
            .finish()
            .map_err(|error| (Cause::BadRequest, error.to_string()))?;
        let key = std::mem::take(&mut ticket.key);
        state.tickets.remove(&number);
        Ok((key, object))
    }

    /// Throws away what nobody goes on with.
    pub(super) fn sweep(&self) {
        self.state()
            .tickets
            .retain(|_, ticket| ticket.used.elapsed() < PAUSE);
    }
}

impl State {
    fn of(&mut self, peer: &PublicKey, ticket: u64) -> Result<&mut Ticket, Refusal> {
        match self.tickets.get_mut(&ticket) {
            Some(ticket) if ticket.peer == *peer => {
                ticket.used = Instant::now();
                Ok(ticket)
            }
            _ => Err((
                Cause::UnknownTicket,
                "it does not know of this object, or no longer".into(),
            )),
        }
    }
}
