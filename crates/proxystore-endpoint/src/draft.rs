//! Objects on their way in.

use crate::object::{Memory, Object, SHARED_ABOVE};
use crate::segment::{self, Segment};
use proxystore::{Error, ErrorKind, Result};
use std::cell::UnsafeCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An object that is being received: ranges come in any order, from several tasks at once. Clones
/// are the same draft.
///
/// ```
/// use proxystore_endpoint::object::Draft;
///
/// let draft = Draft::new(10)?;
/// draft.write_at(5, b"world")?;
/// assert!(draft.finish().is_err()); // five bytes are missing
/// draft.slot(0, 5)?.fill_from(b"hello");
/// assert_eq!(draft.finish()?.as_slice(), b"helloworld");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Draft(Arc<Receiving>);

struct Receiving {
    start: NonNull<u8>,
    len: usize,
    state: Mutex<State>,
}

// SAFETY: the memory is reached through slots alone, no two of which overlap.
unsafe impl Send for Receiving {}
// SAFETY: as above.
unsafe impl Sync for Receiving {}

struct State {
    /// Taken by `finish`.
    memory: Option<Target>,
    /// Ranges that were written or are being written: first byte to end.
    claimed: BTreeMap<usize, usize>,
    /// The first bytes of those that are being written.
    writing: BTreeSet<usize>,
    /// Bytes that were written.
    written: usize,
}

enum Target {
    Heap(Box<UnsafeCell<[u8]>>),
    Shared(Segment),
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Target::Shared(segment)) = state.memory.take() {
            segment::keep(segment);
        }
    }
}

impl Draft {
    /// Room for an object of `len` bytes. Ask for the limit first.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] if the system has no memory for them.
    pub fn new(len: u64) -> Result<Self> {
        let full = || Error::new(ErrorKind::Full, format!("no memory for {len} bytes"));
        let len = usize::try_from(len).map_err(|_| full())?;
        let (memory, start) = if len > SHARED_ABOVE {
            let segment = Segment::take(len)?;
            let start = segment.start();
            (Target::Shared(segment), start)
        } else {
            let bytes: Box<[u8]> = vec![0; len].into_boxed_slice();
            let raw = Box::into_raw(bytes);
            // SAFETY: `UnsafeCell<[u8]>` has the layout of `[u8]`, and the box is given up above.
            let bytes = unsafe { Box::from_raw(raw as *mut UnsafeCell<[u8]>) };
            let start = NonNull::new(bytes.get().cast::<u8>()).ok_or_else(full)?;
            (Target::Heap(bytes), start)
        };
        Ok(Self(Arc::new(Receiving {
            start,
            len,
            state: Mutex::new(State {
                memory: Some(memory),
                claimed: BTreeMap::new(),
                writing: BTreeSet::new(),
                written: 0,
            }),
        })))
    }

    /// Bytes of the whole object.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len as u64
    }

    /// Whether the object has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// How many bytes have come.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.state().written as u64
    }

    /// Room for a range, for its one writer. What the writer has not [marked](Slot::mark) as
    /// filled when the slot goes is free for others again.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the range leaves the object or overlaps one that has come
    /// or is being written.
    pub fn slot(&self, offset: u64, len: u64) -> Result<Slot> {
        let (from, to) = self.0.range(offset, len)?;
        let mut state = self.0.state();
        if state.memory.is_none() {
            return Err(wrong("the object is finished".to_owned()));
        }
        if let Some((start, end)) = state.claims(from, to).next() {
            return Err(wrong(format!(
                "bytes {from} to {to} overlap {start} to {end}, which another writer has"
            )));
        }
        if from < to {
            state.claimed.insert(from, to);
            state.writing.insert(from);
        }
        drop(state);
        Ok(Slot {
            receiving: Arc::clone(&self.0),
            from,
            to,
            filled: 0,
        })
    }

    /// Writes bytes at an offset; those that have come already stay as they are, and those that
    /// another slot has are left to it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if they leave the object.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let (mut from, to) = self.0.range(offset, bytes.len() as u64)?;
        let first = from;
        while from < to {
            let next = self.0.state().claims(from, to).next();
            let end = match next {
                Some((start, end)) if start <= from => {
                    from = end;
                    continue;
                }
                Some((start, _)) => start,
                None => to,
            };
            // Another writer may have been quicker: then look again.
            if let Ok(mut slot) = self.slot(from as u64, (end - from) as u64) {
                slot.fill_from(&bytes[from - first..end - first]);
                from = end;
            }
        }
        Ok(())
    }

    /// Ranges, as offset and length, that have not come and that nobody writes: what is to be
    /// fetched.
    #[must_use]
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let state = self.0.state();
        let mut gaps = Vec::new();
        let mut at = 0;
        for (start, end) in state.claims(0, self.0.len) {
            if start > at {
                gaps.push((at as u64, (start - at) as u64));
            }
            at = end;
        }
        if at < self.0.len {
            gaps.push((at as u64, (self.0.len - at) as u64));
        }
        gaps
    }

    /// Shows a range that one writer has filled; `None` if it is not there as a whole.
    pub(crate) fn look<T>(&self, offset: u64, len: u64, at: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (from, to) = self.0.range(offset, len).ok()?;
        let state = self.0.state();
        let is_there = state.claimed.get(&from) == Some(&to) && !state.writing.contains(&from);
        if state.memory.is_none() || !is_there {
            return None;
        }
        // SAFETY: the range lies in the memory, which stays while the state is locked; it is filled, so that no
        // slot has it, and none can get it.
        let bytes = unsafe {
            std::slice::from_raw_parts(self.0.start.as_ptr().add(from).cast_const(), to - from)
        };
        Some(at(bytes))
    }

    /// A descriptor with which a local client fills the memory itself; `None` if the bytes are to
    /// be sent instead. Nobody else writes to the draft then.
    pub(crate) fn lend(&self) -> Option<OwnedFd> {
        match &self.0.state().memory {
            Some(Target::Shared(segment)) => segment.open(true).ok(),
            _ => None,
        }
    }

    /// The object, once the client that it was lent to says that it is done.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if it was finished before, [`ErrorKind::Full`] if there is no
    /// memory for a copy.
    pub(crate) fn returned(&self) -> Result<Object> {
        let mut state = self.0.state();
        match state.memory.take() {
            Some(Target::Shared(segment)) if segment.is_unseen() => {
                Ok(Object::of(Memory::Shared(Some(segment)), self.0.len))
            }
            Some(Target::Shared(segment)) => {
                // The client, or a child that it forked meanwhile, could still write to it: what
                // is kept is a copy.
                let own = Segment::take(self.0.len)?;
                // SAFETY: both are mapped and at least `len` bytes long, and not the same.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        segment.start().as_ptr().cast_const(),
                        own.start().as_ptr(),
                        self.0.len,
                    );
                }
                segment::keep(segment);
                Ok(Object::of(Memory::Shared(Some(own)), self.0.len))
            }
            other => {
                state.memory = other;
                Err(wrong("no memory was lent for it".to_owned()))
            }
        }
    }

    /// The object, once every byte has come.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if bytes are missing, [`ErrorKind::InvalidConfig`] if it was
    /// finished before.
    pub fn finish(&self) -> Result<Object> {
        let mut state = self.0.state();
        if state.written < self.0.len {
            return Err(Error::new(
                ErrorKind::InvalidFrame,
                format!("{} of {} bytes have come", state.written, self.0.len),
            ));
        }
        let memory = match state.memory.take() {
            None => return Err(wrong("the object was finished before".to_owned())),
            Some(Target::Shared(segment)) => Memory::Shared(Some(segment)),
            Some(Target::Heap(bytes)) => {
                let raw = Box::into_raw(bytes);
                // SAFETY: the layouts are the same, and all writers are done: every byte was
                // marked, which ends a slot's hold on it.
                Memory::Heap(unsafe { Box::from_raw(raw as *mut [u8]) })
            }
        };
        Ok(Object::of(memory, self.0.len))
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} of {} bytes)", self.written(), self.0.len)
    }
}

fn wrong(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}

impl Receiving {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn range(&self, offset: u64, len: u64) -> Result<(usize, usize)> {
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= self.len as u64);
        match end {
            // Both fit: they are at most `self.len`.
            Some(end) => Ok((offset as usize, end as usize)),
            None => Err(wrong(format!(
                "{len} bytes at {offset} leave an object of {} bytes",
                self.len
            ))),
        }
    }
}

impl State {
    /// Claimed ranges that touch `from..to`, in order.
    fn claims(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let before = self
            .claimed
            .range(..=from)
            .next_back()
            .filter(|(start, end)| **end > from && **start < from);
        before
            .into_iter()
            .chain(self.claimed.range(from..to))
            .map(|(start, end)| (*start, *end))
    }
}

/// A range of a [`Draft`] that one writer fills, from its beginning on.
pub struct Slot {
    receiving: Arc<Receiving>,
    from: usize,
    to: usize,
    filled: usize,
}

impl Slot {
    /// Says that the next `count` bytes were written.
    ///
    /// # Panics
    /// If the slot has no so many.
    pub fn mark(&mut self, count: usize) {
        assert!(count <= self.len(), "more than the slot has");
        self.filled += count;
    }

    /// Copies bytes in and marks them; as many as there is room for.
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.len());
        self[..count].copy_from_slice(&bytes[..count]);
        self.mark(count);
        count
    }

    /// Where in the object the next byte goes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        (self.from + self.filled) as u64
    }
}

/// The bytes that are still to be written.
impl Deref for Slot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `deref_mut`.
        unsafe {
            let start = self.receiving.start.as_ptr().add(self.from + self.filled);
            std::slice::from_raw_parts(start, self.to - self.from - self.filled)
        }
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range lies in the memory, which is initialised and stays until the draft is
        // finished, which needs these bytes to be marked; no other slot has any of them.
        unsafe {
            let start = self.receiving.start.as_ptr().add(self.from + self.filled);
            std::slice::from_raw_parts_mut(start, self.to - self.from - self.filled)
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.from == self.to {
            return;
        }
        let mut state = self.receiving.state();
        state.claimed.remove(&self.from);
        state.writing.remove(&self.from);
        if self.filled == 0 {
            return;
        }
        state.written += self.filled;
        state.claimed.insert(self.from, self.from + self.filled);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Slot({}..{}, {} filled)",
            self.from, self.to, self.filled
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn ranges_in_any_order_from_many_threads() {
        for len in [0, 1, 1000, SHARED_ABOVE, SHARED_ABOVE + 1, 5_000_000] {
            let (draft, bytes) = (Draft::new(len as u64).unwrap(), pattern(len));
            std::thread::scope(|scope| {
                for part in 0..4 {
                    let (draft, bytes) = (&draft, &bytes);
                    scope.spawn(move || {
                        for (number, piece) in
                            bytes.chunks(70_000).enumerate().skip(part).step_by(4)
                        {
                            draft.write_at(number as u64 * 70_000, piece).unwrap();
                        }
                    });
                }
            });
            assert!(draft.missing().is_empty());
            assert_eq!(draft.finish().unwrap().as_slice(), bytes);
            assert!(draft.finish().is_err(), "twice");
        }
    }

    #[test]
    fn a_range_has_one_writer_and_can_be_taken_over() {
        let draft = Draft::new(100).unwrap();
        let mut slot = draft.slot(10, 50).unwrap();
        assert!(draft.slot(59, 1).is_err());
        assert!(draft.slot(0, 11).is_err());
        assert_eq!(draft.missing(), [(0, 10), (60, 40)]);
        slot.fill_from(&[7; 20]);
        assert!(draft.finish().is_err());
        drop(slot);
        assert_eq!(draft.missing(), [(0, 10), (30, 70)]);
        draft.write_at(0, &[9; 100]).unwrap();
        let object = draft.finish().unwrap();
        assert_eq!(object.as_slice()[10..30], [7; 20]);
        assert_eq!(object.as_slice()[30..], [9; 70]);
    }

    #[test]
    fn only_what_is_there_as_a_whole_is_shown() {
        let draft = Draft::new(100).unwrap();
        let sum = |from, len| draft.look(from, len, |bytes| bytes.iter().map(|b| *b as u32).sum());
        let mut slot = draft.slot(10, 50).unwrap();
        assert_eq!(sum(10, 50), None::<u32>);
        slot.fill_from(&[2; 50]);
        assert_eq!(sum(10, 50), None);
        drop(slot);
        assert_eq!(sum(10, 50), Some(100));
        assert_eq!(sum(10, 51), None);
        assert_eq!(sum(90, 50), None);
        draft.write_at(0, &[0; 100]).unwrap();
        let object = draft.finish().unwrap();
        assert_eq!(draft.look(10, 50, <[u8]>::len), None);
        drop(object);
    }

    #[test]
    fn what_leaves_the_object_is_refused() {
        let draft = Draft::new(10).unwrap();
        assert!(draft.write_at(9, b"ab").is_err());
        assert!(draft.slot(11, 0).is_err());
        assert!(draft.slot(u64::MAX, 2).is_err());
        assert!(draft.slot(10, 0).is_ok());
        assert!(Draft::new(u64::MAX).is_err());
    }

    #[test]
    fn a_slot_outlives_its_draft() {
        let mut slot = Draft::new(3_000_000).unwrap().slot(0, 3_000_000).unwrap();
        slot.fill_from(&[1; 3_000_000]);
    }
}
