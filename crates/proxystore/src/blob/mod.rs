//! Memory that a connector hands to its caller.

pub(crate) mod anonymous;
pub(crate) mod gather;
mod mapping;
mod pool;

pub use mapping::Mapping;
pub use pool::{Buffer, clear_pool};

use std::any::Any;
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// Every blob that a connector makes begins at a multiple of this many bytes.
pub const ALIGN: usize = 64;

/// Owns the memory behind one or more blobs.
///
/// # Safety
/// `start..start + len` must stay readable, at the same place, for as long as the region lives;
/// if `writable`, it must also be private to whoever holds the region and take writes.
pub unsafe trait Region: Any + Send + Sync {
    /// First byte.
    fn start(&self) -> NonNull<u8>;
    /// Bytes.
    fn len(&self) -> usize;
    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether the memory may be written to.
    fn is_writable(&self) -> bool;
    /// For those who know what kind of region it is.
    fn as_any(&self) -> &dyn Any;
}

/// A run of bytes and a share in the memory that holds them. Cloning and slicing copy nothing;
/// the memory is let go with the last blob.
///
/// ```
/// use proxystore::Blob;
///
/// let blob = Blob::copy_from(b"hello world");
/// let word = blob.slice(6..11);
/// drop(blob);
/// assert_eq!(&word[..], b"world");
/// ```
#[derive(Clone)]
pub struct Blob {
    region: Arc<dyn Region>,
    range: Range<usize>,
}

impl Blob {
    /// All of a region.
    pub fn new(region: impl Region) -> Self {
        let range = 0..region.len();
        Self {
            region: Arc::new(region),
            range,
        }
    }

    /// All of a region that others hold too.
    #[must_use]
    pub fn from_region(region: Arc<dyn Region>) -> Self {
        let range = 0..region.len();
        Self { region, range }
    }

    /// A private copy of some bytes, in pooled memory.
    #[must_use]
    pub fn copy_from(bytes: &[u8]) -> Self {
        let mut buffer = Buffer::with_len(bytes.len());
        gather::copy(&[bytes], &mut buffer);
        Self::new(buffer)
    }

    /// A part of this blob, which shares its memory.
    ///
    /// # Panics
    /// If the range leaves the blob.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.range.len(),
            "slice out of range"
        );
        let start = self.range.start + range.start;
        Self {
            region: Arc::clone(&self.region),
            range: start..start + range.len(),
        }
    }

    /// Bytes. Unlike reading them, this never makes a region join its parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// First byte. Writing through it needs [`is_writable`](Self::is_writable), and that nobody
    /// reads this blob or a clone of it as a slice meanwhile.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        // SAFETY: the range lies within the region (checked where it is made).
        unsafe { self.region.start().as_ptr().add(self.range.start) }
    }

    /// Whether the memory takes writes and is private to the holders of this blob.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.region.is_writable()
    }

    /// The memory behind this blob.
    #[must_use]
    pub fn region(&self) -> &dyn Region {
        &*self.region
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the region keeps its bytes readable while `self.region` lives; the range lies
        // within it.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.range.len()) }
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.range.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Owned(bytes))
    }
}

struct Owned(Vec<u8>);

// SAFETY: the vector is never touched again, so its bytes stay in place; it is not offered for
// writing.
unsafe impl Region for Owned {
    fn start(&self) -> NonNull<u8> {
        NonNull::from(self.0.as_slice()).cast()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
