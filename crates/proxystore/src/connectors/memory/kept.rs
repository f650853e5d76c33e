//! A payload that is kept by reference to its owner.

use crate::Payload;
use crate::blob::{Buffer, Region, gather};
use std::any::Any;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// An immutable owner and the few bytes around it. The whole is joined only if someone reads it as
/// bytes: who put it takes the owner back instead.
pub(super) struct Kept {
    owner: Arc<dyn Region>,
    parts: Vec<Part>,
    len: usize,
    joined: OnceLock<Buffer>,
}

enum Part {
    Owned(Range<usize>),
    Copied(Box<[u8]>),
}

impl Kept {
    /// `None` if the payload names no owner, or none that its bytes lie in.
    pub(super) fn new(payload: &Payload<'_>) -> Option<Self> {
        let owner = payload.owner()?;
        let start = owner.start().as_ptr() as usize;
        let within = start..start + owner.len();
        let mut owned = 0;
        let parts = payload.pieces().iter().map(|piece| {
            let first = piece.as_ptr() as usize;
            if within.contains(&first) && piece.len() <= within.end - first {
                owned += piece.len();
                Part::Owned(first - start..first - start + piece.len())
            } else {
                Part::Copied((*piece).into())
            }
        });
        let parts: Vec<_> = parts.collect();
        // An empty object has no piece; its owner is it all the same.
        (owned > 0 || owner.is_empty()).then(|| Self {
            owner: Arc::clone(owner),
            parts,
            len: payload.len(),
            joined: OnceLock::new(),
        })
    }

    /// A joined copy.
    pub(super) fn join(&self) -> Buffer {
        // SAFETY: a region's bytes stay readable while it lives, and this owner never changes them.
        let owned = unsafe {
            std::slice::from_raw_parts(self.owner.start().as_ptr().cast_const(), self.owner.len())
        };
        let pieces: Vec<&[u8]> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Owned(range) => &owned[range.clone()],
                Part::Copied(bytes) => bytes,
            })
            .collect();
        let mut buffer = Buffer::with_len(self.len);
        gather::copy(&pieces, &mut buffer);
        buffer
    }
}

// SAFETY: the joined bytes, once made, stay in place for as long as this lives; they are not
// offered for writing.
unsafe impl Region for Kept {
    fn start(&self) -> NonNull<u8> {
        self.joined.get_or_init(|| self.join()).start()
    }
    fn len(&self) -> usize {
        self.len
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self.owner.as_any()
    }
}
