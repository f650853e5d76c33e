//! What a connector is given to store.

use crate::blob::Region;
use crate::blob::gather::{self, Target};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Pieces of memory, in order, that together are one object. They are borrowed from whoever made
/// the object: a connector writes them out one by one (`writev`) and joins them only when its
/// backend has no other way.
///
/// ```
/// use proxystore::Payload;
///
/// let payload = Payload::new(&[b"head", b"", b"body"]);
/// assert_eq!(payload.len(), 8);
/// assert_eq!(payload.pieces().len(), 2); // empty pieces are left out
/// assert_eq!(payload.to_vec(), b"headbody");
/// ```
#[derive(Clone)]
pub struct Payload<'a> {
    pieces: SmallVec<[&'a [u8]; 6]>,
    len: usize,
    framed: bool,
    owner: Option<Arc<dyn Region>>,
    lease: Option<Duration>,
}

impl<'a> Payload<'a> {
    /// A payload of the given pieces.
    #[must_use]
    pub fn new(pieces: &[&'a [u8]]) -> Self {
        let mut payload = Self {
            pieces: SmallVec::new(),
            len: 0,
            framed: false,
            owner: None,
            lease: None,
        };
        for piece in pieces {
            payload.push(piece);
        }
        payload
    }

    /// A payload of one piece.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self::new(&[bytes])
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: &'a [u8]) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Says that the bytes are one frame, whose header tells its length: a torn copy is seen by
    /// whoever reads it, so a connector need not make its publication atomic.
    #[must_use]
    pub fn framed(mut self) -> Self {
        self.framed = true;
        self
    }

    /// Whether the bytes are one [frame](crate::frame).
    #[must_use]
    pub fn is_framed(&self) -> bool {
        self.framed
    }

    /// Names what holds the bytes of one of the pieces, and never changes them: a Python `bytes`,
    /// say. A connector within this process may keep the owner in place of a copy. The blob that
    /// it hands out later has the bytes of the whole payload, as always, and its region's
    /// [`as_any`](Region::as_any) is the owner's: whoever knows its type gets the very object back.
    ///
    /// It is of use only where [`Capability::keeps_owners`](crate::Capability::keeps_owners) holds;
    /// other connectors pay no attention to it.
    ///
    /// ```
    /// use proxystore::blob::Region;
    /// use proxystore::connectors::memory::MemoryConnector;
    /// use proxystore::{Access, Connector, Payload};
    /// use std::any::Any;
    /// use std::ptr::NonNull;
    /// use std::sync::Arc;
    ///
    /// struct Text(&'static str);
    ///
    /// // SAFETY: static text stays where it is, and is not offered for writing.
    /// unsafe impl Region for Text {
    ///     fn start(&self) -> NonNull<u8> {
    ///         NonNull::from(self.0.as_bytes()).cast()
    ///     }
    ///     fn len(&self) -> usize {
    ///         self.0.len()
    ///     }
    ///     fn is_writable(&self) -> bool {
    ///         false
    ///     }
    ///     fn as_any(&self) -> &dyn Any {
    ///         self
    ///     }
    /// }
    ///
    /// let text = "a long text";
    /// let payload = Payload::new(&[b"head", text.as_bytes()]).with_owner(Arc::new(Text(text)));
    /// let connector = MemoryConnector::new();
    /// let key = connector.put(&payload)?;
    ///
    /// let blob = connector.get(&key, Access::Auto)?.expect("just put");
    /// let found = blob.region().as_any().downcast_ref::<Text>().expect("kept, not copied");
    /// assert!(std::ptr::eq(found.0, text));
    /// assert_eq!(&blob[..], b"heada long text");
    /// # Ok::<(), proxystore::Error>(())
    /// ```
    #[must_use]
    pub fn with_owner(mut self, owner: Arc<dyn Region>) -> Self {
        self.owner = Some(owner);
        self
    }

    /// What [`with_owner`](Self::with_owner) named.
    #[must_use]
    pub fn owner(&self) -> Option<&Arc<dyn Region>> {
        self.owner.as_ref()
    }

    /// Lets the object live for so long after its put, unless
    /// [`touch`](crate::Connector::touch) lets it live longer: then nobody can read it any more,
    /// and the place removes it by itself. So it goes even if everybody who knew of it is dead.
    ///
    /// It is of use only where [`Capability::expiry`](crate::Capability::expiry) holds; other
    /// connectors pay no attention to it.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// What [`with_lease`](Self::with_lease) said.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// The pieces, none of them empty.
    #[must_use]
    pub fn pieces(&self) -> &[&'a [u8]] {
        &self.pieces
    }

    /// Bytes in all pieces together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One joined copy.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Copies all pieces, one after the other, to the front of `target`; from 8 MiB on by several
    /// threads.
    ///
    /// # Panics
    /// If `target` is shorter than the payload.
    pub fn copy_to(&self, target: &mut [u8]) {
        gather::copy(&self.pieces, target);
    }

    /// As [`copy_to`](Self::copy_to), for memory that was used before: large payloads go past the
    /// processor's cache.
    ///
    /// # Panics
    /// If `target` is shorter than the payload.
    pub fn copy_to_ready(&self, target: &mut [u8]) {
        gather::copy_into(&self.pieces, target, Target::Ready);
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("len", &self.len)
            .field("pieces", &self.pieces.len())
            .field("framed", &self.framed)
            .field("owned", &self.owner.is_some())
            .field("lease", &self.lease)
            .finish()
    }
}
