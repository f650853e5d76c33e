//! Bytes and text.

use super::buffer::{BufferView, QUICK_COPY};
use super::encoded::Encoded;
use crate::error::to_python;
use proxystore::frame::{Codec, Frame};
use proxystore::{Error, ErrorKind, Payload};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

/// The stream of a mutable sequence of bytes.
const MUTABLE: &[u8] = &[1];

/// From this many bytes on, fresh memory is asked for in huge pages: filling it costs a quarter of
/// the page faults' price.
const HUGE_PAGES_FROM: usize = 4 << 20;

/// Encodes `bytes`, `str`, `bytearray` and `memoryview` (as `bytes`), and only these very types.
/// Text that has no UTF-8 form (lone surrogates) is left to pickle.
pub(super) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    if let Ok(bytes) = obj.cast_exact::<PyBytes>() {
        let mut encoded = Encoded::new(Codec::Bytes);
        encoded.push_bytes(bytes);
        return Ok(Some(encoded));
    }
    if let Ok(text) = obj.cast_exact::<PyString>() {
        let mut encoded = Encoded::new(Codec::Str);
        return Ok(encoded.push_text(text).is_ok().then_some(encoded));
    }
    if obj.cast_exact::<PyByteArray>().is_ok() {
        let mut encoded = Encoded::new(Codec::Bytes);
        encoded.copy_to_stream(MUTABLE);
        encoded.push_view(BufferView::contiguous(obj)?);
        return Ok(Some(encoded));
    }
    if obj.cast_exact::<PyMemoryView>().is_ok() {
        let mut encoded = Encoded::new(Codec::Bytes);
        push_in_order(&mut encoded, obj)?;
        return Ok(Some(encoded));
    }
    Ok(None)
}

/// Adds the bytes of a memoryview in the order of its elements, by reference if they lie so.
pub(super) fn push_in_order(encoded: &mut Encoded, view: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(view) = BufferView::get(view, ffi::PyBUF_C_CONTIGUOUS) {
        encoded.push_view(view);
    } else {
        let bytes = view.call_method0(pyo3::intern!(view.py(), "tobytes"))?;
        encoded.push_bytes(&bytes.cast_into::<PyBytes>()?);
    }
    Ok(())
}

/// `bytes` or `bytearray`.
pub(super) fn decode_bytes<'py>(py: Python<'py>, frame: &Frame<'_>) -> PyResult<Bound<'py, PyAny>> {
    let content = frame.buffer(0);
    match frame.stream() {
        [] => copy_to_bytes(py, content),
        MUTABLE => copy_to_bytearray(py, content),
        _ => Err(to_python(
            py,
            Error::new(
                ErrorKind::InvalidFrame,
                "a corrupted frame: bytes with an unknown stream",
            ),
        )),
    }
}

/// A `str` of UTF-8.
pub(super) fn decode_str<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if content.len() > QUICK_COPY && py.detach(|| content.is_ascii()) {
        // SAFETY: an ASCII string of `len` characters has `len` bytes of data, which nobody else
        // sees before they are filled.
        unsafe {
            let text = ffi::PyUnicode_New(content.len() as isize, 127);
            let text = Bound::from_owned_ptr_or_err(py, text)?;
            let start = ffi::PyUnicode_DATA(text.as_ptr()).cast::<u8>();
            fill(py, start, content.len(), |target| {
                Payload::from_bytes(content).copy_to(target);
            });
            return Ok(text);
        }
    }
    // SAFETY: reads `len` bytes.
    let text = unsafe {
        let start = content.as_ptr().cast();
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyUnicode_FromStringAndSize(start, content.len() as isize),
        )
    };
    text.map_err(|error| {
        let error = Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: its text is no UTF-8",
        )
        .with_source(error);
        to_python(py, error)
    })
}

/// A copy as `bytes`: in huge pages, by several threads and without the interpreter lock, if it is long.
pub(crate) fn copy_to_bytes<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    new_bytes(py, content.len(), |target| {
        Payload::from_bytes(content).copy_to(target);
    })
}

/// A `bytes` object of some length that `write` fills, without the interpreter lock if it is long.
pub(crate) fn new_bytes(
    py: Python<'_>,
    len: usize,
    write: impl FnOnce(&mut [u8]) + Send,
) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: `PyBytes_FromStringAndSize` without a source leaves the content to us; nobody else
    // sees the object before it is filled. The one empty object needs no filling.
    unsafe {
        let bytes = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len as isize);
        let bytes = Bound::from_owned_ptr_or_err(py, bytes)?;
        if len > 0 {
            fill(py, ffi::PyBytes_AsString(bytes.as_ptr()).cast(), len, write);
        }
        Ok(bytes)
    }
}

/// A copy as `bytearray`.
pub(super) fn copy_to_bytearray<'py>(
    py: Python<'py>,
    content: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: as in `new_bytes`.
    unsafe {
        let array = ffi::PyByteArray_FromStringAndSize(std::ptr::null(), content.len() as isize);
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if !content.is_empty() {
            let start = ffi::PyByteArray_AsString(array.as_ptr()).cast();
            fill(py, start, content.len(), |target| {
                Payload::from_bytes(content).copy_to(target);
            });
        }
        Ok(array)
    }
}

/// Fills fresh memory.
///
/// # Safety
/// `len` bytes at `start` must be writable, and nobody else's until this returns.
unsafe fn fill(py: Python<'_>, start: *mut u8, len: usize, write: impl FnOnce(&mut [u8]) + Send) {
    // SAFETY: the caller's promise; `MaybeUninit` is not needed because `write` only writes.
    let target = unsafe { std::slice::from_raw_parts_mut(start, len) };
    if len >= HUGE_PAGES_FROM {
        advise_huge_pages(start, len);
    }
    if len > QUICK_COPY {
        py.detach(|| write(target));
    } else {
        write(target);
    }
}

/// Asks for huge pages where the kernel has them; does nothing where it has none.
fn advise_huge_pages(start: *mut u8, len: usize) {
    const PAGE: usize = 4096;
    let first = (start as usize).next_multiple_of(PAGE);
    let end = (start as usize + len) / PAGE * PAGE;
    #[cfg(target_os = "linux")]
    if first < end {
        // SAFETY: advice about whole pages that all belong to the object.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (first, end);
}
