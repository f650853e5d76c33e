//! Memory across the border: Python's buffers as slices, blobs as Python's buffers.

use proxystore::Blob;
use proxystore::blob::Region;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::any::Any;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::NonNull;

/// Copies longer than this many bytes let other threads run. Getting the interpreter lock back
/// costs a switch interval (5 ms) when they do, so a copy that takes microseconds keeps it.
pub(super) const QUICK_COPY: usize = 256 << 10;

/// A view of an object's memory, released when dropped. The object cannot move or resize its
/// memory meanwhile.
pub(super) struct BufferView(Box<ffi::Py_buffer>);

// SAFETY: the view is released under the interpreter lock (see `drop`); reading its fields needs
// no lock.
unsafe impl Send for BufferView {}
// SAFETY: as above.
unsafe impl Sync for BufferView {}

impl BufferView {
    /// A view of the object; `flags` are CPython's `PyBUF_*`.
    pub(super) fn get(obj: &Bound<'_, PyAny>, flags: c_int) -> PyResult<Self> {
        // The fields may point into the structure itself, which must not move therefore.
        let mut view = Box::new(MaybeUninit::<ffi::Py_buffer>::uninit());
        // SAFETY: the lock is held; on success the structure is filled.
        if unsafe { ffi::PyObject_GetBuffer(obj.as_ptr(), view.as_mut_ptr(), flags) } != 0 {
            return Err(PyErr::fetch(obj.py()));
        }
        // SAFETY: filled by the call above.
        Ok(Self(unsafe { view.assume_init() }))
    }

    /// A view of plain contiguous bytes.
    pub(super) fn contiguous(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        let view = Self::get(obj, ffi::PyBUF_ANY_CONTIGUOUS | ffi::PyBUF_STRIDES)?;
        Ok(view)
    }

    pub(super) fn raw(&self) -> &ffi::Py_buffer {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len as usize
    }

    pub(super) fn start(&self) -> *const u8 {
        self.0.buf.cast_const().cast()
    }

    /// The bytes of a contiguous view. Others may write to them; whoever asks for a view of
    /// memory that is written to meanwhile gets some mixture of old and new.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: a contiguous view has `len` readable bytes at `buf` until it is released.
        unsafe { std::slice::from_raw_parts(self.start(), self.len()) }
    }
}

impl Drop for BufferView {
    fn drop(&mut self) {
        Python::attach(|_| {
            // SAFETY: filled by `get`, released once, under the lock.
            unsafe { ffi::PyBuffer_Release(&raw mut *self.0) }
        });
    }
}

/// Memory of a Python object as a region: never writable, so that it is copied where an object of
/// its own is wanted.
struct PythonMemory(BufferView);

// SAFETY: a view's memory stays in place until the view is released. It is not offered for
// writing.
unsafe impl Region for PythonMemory {
    fn start(&self) -> NonNull<u8> {
        NonNull::new(self.0.start().cast_mut()).unwrap_or(NonNull::dangling())
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

/// What is decoded, and whether its arrays may lie over it.
#[derive(Clone)]
pub(crate) struct Source {
    blob: Blob,
    view: bool,
}

impl Source {
    pub(super) fn owned(blob: &Blob) -> Self {
        Self {
            blob: blob.clone(),
            view: false,
        }
    }

    pub(super) fn view(blob: &Blob) -> Self {
        Self {
            blob: blob.clone(),
            view: true,
        }
    }

    /// The bytes of a Python object.
    pub(crate) fn of_python(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        let view = BufferView::get(obj, ffi::PyBUF_SIMPLE)?;
        Ok(Self::owned(&Blob::new(PythonMemory(view))))
    }

    pub(crate) fn blob(&self) -> &Blob {
        &self.blob
    }

    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        Self {
            blob: self.blob.slice(range),
            view: self.view,
        }
    }

    /// A part for an object that lies over it: shared where that is allowed, else copied.
    pub(super) fn memory(&self, py: Python<'_>, range: Range<usize>) -> BlobMemory {
        if self.view {
            BlobMemory {
                blob: self.blob.slice(range),
                writable: false,
            }
        } else if self.blob.is_writable() {
            BlobMemory {
                blob: self.blob.slice(range),
                writable: true,
            }
        } else {
            BlobMemory::copy_from(py, &self.blob[range])
        }
    }
}

/// A blob as a Python object whose buffer others may use.
#[derive(Clone)]
#[pyclass(frozen, module = "proxystore._core")]
pub(crate) struct BlobMemory {
    blob: Blob,
    writable: bool,
}

impl BlobMemory {
    /// A private, writable copy.
    pub(super) fn copy_from(py: Python<'_>, bytes: &[u8]) -> Self {
        let blob = if bytes.len() > QUICK_COPY {
            py.detach(|| Blob::copy_from(bytes))
        } else {
            Blob::copy_from(bytes)
        };
        Self {
            blob,
            writable: true,
        }
    }

    /// Memory that is not to be changed.
    pub(crate) fn read_only(blob: Blob) -> Self {
        Self {
            blob,
            writable: false,
        }
    }

    /// The blob itself.
    pub(crate) fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The same memory once more.
    pub(super) fn share(&self) -> Self {
        self.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.blob.len()
    }
}

#[pymethods]
impl BlobMemory {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        // SAFETY: the blob's memory stays in place while `slf`, which the view holds, lives.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                this.blob.as_ptr().cast(),
                this.blob.len() as isize,
                c_int::from(!this.writable),
                flags,
            )
        };
        if filled == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }

    fn __len__(&self) -> usize {
        self.blob.len()
    }
}
