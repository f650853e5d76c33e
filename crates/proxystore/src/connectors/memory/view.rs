//! A stored object, shared for reading.

use crate::Blob;
use crate::blob::Region;
use std::any::Any;
use std::ptr::NonNull;

/// The connector's own copy of an object: whoever holds this must not write to it.
pub(super) struct View(pub(super) Blob);

// SAFETY: the blob keeps its bytes in place; they are not offered for writing.
unsafe impl Region for View {
    fn start(&self) -> NonNull<u8> {
        NonNull::from(&*self.0).cast()
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
