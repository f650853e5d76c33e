//! Objects as an endpoint holds them.

pub use crate::draft::{Draft, Slot};
use crate::segment::{self, Segment};
use bytes::Bytes;
use proxystore::Result;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// Objects above this many bytes lie in shared memory that local clients map; below, sending costs
/// no more than mapping.
pub const SHARED_ABOVE: usize = 1 << 20;

/// Bytes that never change, in memory. Cloning costs a count.
///
/// ```
/// use proxystore_endpoint::object::Object;
///
/// let object = Object::copy_from(b"hello")?;
/// assert_eq!(object.clone().as_slice(), b"hello");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Object(Arc<Held>);

struct Held {
    memory: Memory,
    len: usize,
    /// What clients map, opened when the first one asks.
    opening: OnceLock<OwnedFd>,
}

pub(crate) enum Memory {
    Heap(Box<[u8]>),
    /// Always there until dropped.
    Shared(Option<Segment>),
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.opening.take());
        if let Memory::Shared(segment) = &mut self.memory
            && let Some(segment) = segment.take()
        {
            segment::keep(segment);
        }
    }
}

impl Object {
    /// An object with these bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Full`](proxystore::ErrorKind::Full) if the system has no memory for them.
    pub fn copy_from(bytes: &[u8]) -> Result<Self> {
        let draft = Draft::new(bytes.len() as u64)?;
        draft.write_at(0, bytes)?;
        draft.finish()
    }

    pub(crate) fn of(memory: Memory, len: usize) -> Self {
        Self(Arc::new(Held {
            memory,
            len,
            opening: OnceLock::new(),
        }))
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Shared(Some(segment)) => {
                // SAFETY: `len` is at most the segment's capacity, and nobody writes to it while
                // an object has it.
                unsafe { std::slice::from_raw_parts(segment.start().as_ptr(), self.0.len) }
            }
            Memory::Shared(None) => &[],
        }
    }

    /// A part of the bytes, which keeps the object.
    ///
    /// # Panics
    /// If it leaves the object.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(self.clone()).slice(range)
    }

    /// A descriptor that a client may map for reading; `None` if the bytes are to be sent instead.
    pub(crate) fn descriptor(&self) -> Option<io::Result<BorrowedFd<'_>>> {
        let Memory::Shared(Some(segment)) = &self.0.memory else {
            return None;
        };
        if let Some(opening) = self.0.opening.get() {
            return Some(Ok(opening.as_fd()));
        }
        Some(
            segment
                .open(false)
                .map(|opening| self.0.opening.get_or_init(|| opening).as_fd()),
        )
    }
}

impl AsRef<[u8]> for Object {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes)", self.0.len)
    }
}
