//! Idle connections, in a pool that works on both sides of a fork.

use super::connection::Connection;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Most idle connections that are kept; as many threads can be at work without reconnecting.
const SLOTS: usize = 32;

/// Slots of idle connections, without any lock: a fork finds each slot full or empty.
#[derive(Debug)]
pub(super) struct Pool {
    slots: [AtomicPtr<Connection>; SLOTS],
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// Takes a connection of this process. The parent's are closed on this side of the fork only.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        self.slots
            .iter()
            .filter_map(Self::empty)
            .find(|connection| connection.is_ours())
    }

    /// Keeps a connection, if there is room.
    pub(super) fn give(&self, connection: Box<Connection>) {
        let connection = Box::into_raw(connection);
        for slot in &self.slots {
            if slot.load(Ordering::Relaxed).is_null()
                && slot
                    .compare_exchange(
                        ptr::null_mut(),
                        connection,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                return;
            }
        }
        // SAFETY: made by `into_raw` above and given to nobody.
        drop(unsafe { Box::from_raw(connection) });
    }

    /// Closes every idle connection.
    pub(super) fn clear(&self) {
        self.slots.iter().filter_map(Self::empty).for_each(drop);
    }

    fn empty(slot: &AtomicPtr<Connection>) -> Option<Box<Connection>> {
        if slot.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let taken = slot.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: a slot holds null or what `give` put there, and the swap makes it ours alone.
        (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.clear();
    }
}
