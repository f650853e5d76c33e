//! An object as pieces.

use super::buffer::BufferView;
use super::owner::Owner;
use proxystore::Payload;
use proxystore::frame::{Codec, FrameBuilder};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use smallvec::SmallVec;
use std::sync::Arc;

/// An object as the pieces of a frame. Holds references to everything that the pieces lie in.
pub(crate) struct Encoded {
    codec: Codec,
    /// Small pieces of the stream, copied together.
    own: SmallVec<[u8; 64]>,
    stream: SmallVec<[Piece; 2]>,
    pieces: SmallVec<[Piece; 2]>,
    /// How many pieces each buffer is made of.
    buffers: SmallVec<[usize; 2]>,
    objects: SmallVec<[Py<PyAny>; 2]>,
    views: Vec<BufferView>,
    /// Whether the last buffer is a whole `bytes` or `str`.
    is_immutable: bool,
    /// Whether the frame carries a checksum of its buffers.
    checksum: bool,
}

#[derive(Clone, Copy)]
enum Piece {
    /// A part of `own`.
    Own { start: usize, len: usize },
    /// Memory that one of `objects` or `views` keeps.
    Borrowed {
        start: *const u8,
        len: usize,
        /// Whether somebody may write to it meanwhile.
        may_change: bool,
    },
}

impl Piece {
    /// The memory of a view, which others have as well.
    fn of_view(view: &BufferView) -> Self {
        Self::Borrowed {
            start: view.start(),
            len: view.len(),
            may_change: true,
        }
    }

    /// The memory of an object that never changes.
    fn immutable(bytes: &[u8]) -> Self {
        Self::Borrowed {
            start: bytes.as_ptr(),
            len: bytes.len(),
            may_change: false,
        }
    }
}

// SAFETY: the pointers are only read, and what they point to is kept by references and views that
// are themselves `Send`.
unsafe impl Send for Encoded {}
// SAFETY: as above; nothing changes behind `&self`.
unsafe impl Sync for Encoded {}

impl Encoded {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            own: SmallVec::new(),
            stream: SmallVec::new(),
            pieces: SmallVec::new(),
            buffers: SmallVec::new(),
            objects: SmallVec::new(),
            views: Vec::new(),
            is_immutable: false,
            checksum: false,
        }
    }

    /// Lets the frame carry a checksum of its buffers.
    pub(crate) fn add_checksum(&mut self) {
        self.checksum = true;
    }

    /// How the object is to be read.
    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// The pieces, by reference: what they lie in is kept by `self`.
    pub(crate) fn builder(&self, _py: Python<'_>) -> FrameBuilder<'_> {
        let mut builder = FrameBuilder::new(self.codec).checksum_buffers(self.checksum);
        for piece in &self.stream {
            builder.push_stream(self.bytes(*piece));
        }
        let mut pieces = self.pieces.iter().map(|piece| self.bytes(*piece));
        for count in &self.buffers {
            builder.push_buffer_pieces(pieces.by_ref().take(*count));
        }
        builder
    }

    /// The pieces in order. `use_it` may release the interpreter lock meanwhile.
    pub(crate) fn with_payload<R>(
        &self,
        py: Python<'_>,
        use_it: impl FnOnce(&Payload<'_>) -> R,
    ) -> R {
        let builder = self.builder(py);
        let head = if self.checksum {
            // It reads every byte.
            py.detach(|| builder.head())
        } else {
            builder.head()
        };
        let mut payload = builder.payload(&head);
        if let Some(owner) = self.owner(py) {
            payload = payload.with_owner(Arc::new(owner));
        }
        use_it(&payload)
    }

    /// The immutable object that is the one buffer, if it is one.
    fn owner(&self, py: Python<'_>) -> Option<Owner> {
        match (
            self.is_immutable,
            self.pieces.as_slice(),
            self.objects.as_slice(),
        ) {
            (true, [Piece::Borrowed { start, len, .. }], [object]) => {
                let foreign = self.codec == Codec::Foreign;
                // SAFETY: said by `push_bytes` and `push_text`, which alone set the mark.
                Some(unsafe { Owner::new(object.clone_ref(py), *start, *len, foreign) })
            }
            _ => None,
        }
    }

    /// Bytes of the whole frame.
    pub(crate) fn total_len(&self, py: Python<'_>) -> usize {
        self.builder(py).total_len()
    }

    /// Copies what others could change before it is written. The interpreter lock is held from
    /// first to last.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn snapshot(&mut self, py: Python<'_>) -> PyResult<()> {
        for piece in self.stream.iter_mut().chain(self.pieces.iter_mut()) {
            let Piece::Borrowed {
                start,
                len,
                may_change: true,
            } = *piece
            else {
                continue;
            };
            let copy = PyBytes::new_with(py, len, |target| {
                if len > 0 {
                    // SAFETY: kept by `views`, which are let go only afterwards; the target is
                    // new, and has `len` bytes.
                    unsafe { std::ptr::copy_nonoverlapping(start, target.as_mut_ptr(), len) };
                }
                Ok(())
            })?;
            *piece = Piece::immutable(copy.as_bytes());
            self.objects.push(copy.into_any().unbind());
        }
        self.views.clear();
        Ok(())
    }

    fn bytes(&self, piece: Piece) -> &[u8] {
        match piece {
            Piece::Own { start, len } => &self.own[start..start + len],
            Piece::Borrowed { len: 0, .. } => &[],
            // SAFETY: `objects` and `views` keep the memory as long as `self` lives; others may
            // write to it, as documented for `put`, which no reader of raw bytes minds.
            Piece::Borrowed { start, len, .. } => unsafe { std::slice::from_raw_parts(start, len) },
        }
    }

    /// Makes some bytes the whole stream.
    pub(super) fn set_stream(&mut self, bytes: Vec<u8>) {
        let len = bytes.len();
        self.own = SmallVec::from_vec(bytes);
        self.stream.clear();
        self.stream.push(Piece::Own { start: 0, len });
    }

    /// The stream, if it is our own and all there is.
    pub(super) fn into_stream(self) -> Option<Vec<u8>> {
        match self.stream.as_slice() {
            [Piece::Own { start: 0, len }] if *len == self.own.len() && self.buffers.is_empty() => {
                Some(self.own.into_vec())
            }
            _ => None,
        }
    }

    /// How many buffers there are so far.
    pub(super) fn buffer_count(&self) -> usize {
        self.buffers.len()
    }

    /// Adds a copy of some bytes to the stream.
    pub(super) fn copy_to_stream(&mut self, bytes: &[u8]) {
        let start = self.own.len();
        self.own.extend_from_slice(bytes);
        if let Some(Piece::Own { len, .. }) = self.stream.last_mut() {
            *len += bytes.len();
        } else {
            self.stream.push(Piece::Own {
                start,
                len: bytes.len(),
            });
        }
    }

    /// Adds a `bytes` object to the stream.
    pub(super) fn bytes_to_stream(&mut self, bytes: &Bound<'_, PyBytes>) {
        self.stream.push(Piece::immutable(bytes.as_bytes()));
        self.keep(bytes.as_any());
    }

    /// Adds a view to the stream.
    pub(super) fn view_to_stream(&mut self, view: BufferView) {
        self.stream.push(Piece::of_view(&view));
        self.views.push(view);
    }

    /// Adds a buffer that is a whole `bytes` object.
    pub(super) fn push_bytes(&mut self, bytes: &Bound<'_, PyBytes>) {
        self.push_piece(Piece::immutable(bytes.as_bytes()));
        self.keep(bytes.as_any());
        self.is_immutable = true;
    }

    /// Adds a buffer that is the UTF-8 form of a string, which lives as long as the string.
    pub(super) fn push_text(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        self.push_piece(Piece::immutable(text.to_str()?.as_bytes()));
        self.keep(text.as_any());
        self.is_immutable = true;
        Ok(())
    }

    /// Adds a buffer that is a view.
    pub(super) fn push_view(&mut self, view: BufferView) {
        self.push_piece(Piece::of_view(&view));
        self.views.push(view);
    }

    /// Adds a buffer that is several views, one after the other.
    pub(super) fn push_views(&mut self, views: Vec<BufferView>) {
        self.buffers.push(views.len());
        self.pieces.extend(views.iter().map(Piece::of_view));
        self.views.extend(views);
    }

    /// Keeps an object alive until the pieces are no longer needed.
    pub(super) fn keep(&mut self, obj: &Bound<'_, PyAny>) {
        self.objects.push(obj.clone().unbind());
    }

    fn push_piece(&mut self, piece: Piece) {
        self.pieces.push(piece);
        self.buffers.push(1);
    }
}
