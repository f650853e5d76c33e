//! What a connector is given to store.

use smallvec::SmallVec;

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
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    pieces: SmallVec<[&'a [u8]; 6]>,
    len: usize,
    framed: bool,
}

impl<'a> Payload<'a> {
    /// A payload of the given pieces.
    #[must_use]
    pub fn new(pieces: &[&'a [u8]]) -> Self {
        let mut payload = Self {
            pieces: SmallVec::new(),
            len: 0,
            framed: false,
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

    /// Copies all pieces, one after the other, to the front of `target`.
    ///
    /// # Panics
    /// If `target` is shorter than the payload.
    pub fn copy_to(&self, target: &mut [u8]) {
        let mut rest = target;
        for piece in &self.pieces {
            let (head, tail) = rest.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            rest = tail;
        }
    }
}
