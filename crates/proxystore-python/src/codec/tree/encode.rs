//! Python's values to MessagePack.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument for the whole file"
)]
// SAFETY, for every call into CPython below: the interpreter lock is held (`Tree` carries the
// token), every pointer is a live object, and a function for one type is only called after the
// type was found to be that very one. Reading an array, or making an object (which may set off the
// garbage collector), may let other code run, which may change the containers: they are asked for
// their length again at every step, and whatever is still looked at after such a moment is held by
// a strong reference: containers and buffers themselves, and a dict's value while its key is read.
// Text, numbers and their like are read without such a moment. An element that nobody else holds
// is not given a second reference beforehand, because that is how it is known not to be met again.

use super::super::encoded::Encoded;
use super::super::modules::Numpy;
use super::super::ndarray;
use super::super::pickle::OUT_OF_BAND_FROM;
use super::addresses::Addresses;
use proxystore::codec::message_pack::{BufferLeaf, Extension, MAX_DEPTH, Writer};
use proxystore::frame::Codec;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// Text and bytes from this length on lie in a buffer of their own, by reference.
const BUFFER_FROM: usize = 64 << 10;
/// Text and bytes from this length on are watched for: a tree that holds one many times is
/// smaller as a pickle, which writes it once.
const WATCH_FROM: usize = 128;

/// Why a tree was not written.
enum Stop {
    /// Pickle has to do it.
    NotPlain,
    Raised(Box<PyErr>),
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Raised(Box::new(error))
    }
}

type Written = Result<(), Stop>;

/// Encodes a tree, or gives `None` for what pickle has to do.
pub(in super::super) fn encode(obj: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    let py = obj.py();
    if !may_be_plain(obj.as_ptr()) {
        return Ok(None);
    }
    let ndarray = Numpy::if_loaded(py)?.map_or(std::ptr::null_mut(), |numpy| {
        numpy.ndarray.as_ptr().cast::<ffi::PyTypeObject>()
    });
    let mut tree = Tree {
        py,
        ndarray,
        writer: Writer(Vec::with_capacity(64)),
        encoded: Encoded::new(Codec::MessagePack),
        seen: Addresses::default(),
        depth: 0,
    };
    match unsafe { tree.value(obj.as_ptr()) } {
        Ok(()) if tree.writer.fits() => {
            tree.encoded.set_stream(tree.writer.0);
            Ok(Some(tree.encoded))
        }
        Ok(()) | Err(Stop::NotPlain) => Ok(None),
        Err(Stop::Raised(error)) => Err(*error),
    }
}

/// Encodes leaves as one array: text, bytes, numbers and their like. `None` if anything else is
/// among them, or pickle had better do it.
///
/// # Safety
/// There are `len` references in a row, each to a live object or null for `None`. They may change
/// meanwhile, as anything that others hold.
pub(in super::super) unsafe fn encode_leaves(
    py: Python<'_>,
    start: *const *mut ffi::PyObject,
    len: usize,
) -> PyResult<Option<Vec<u8>>> {
    let mut tree = Tree {
        py,
        ndarray: std::ptr::null_mut(),
        writer: Writer(Vec::with_capacity(16 * len)),
        encoded: Encoded::new(Codec::MessagePack),
        seen: Addresses::default(),
        depth: 0,
    };
    let mut write = || {
        tree.writer.array_header(length(len as isize)?);
        for index in 0..len {
            unsafe {
                let leaf = start.add(index).read();
                let class = if leaf.is_null() {
                    ffi::Py_TYPE(ffi::Py_None())
                } else {
                    ffi::Py_TYPE(leaf)
                };
                if class == &raw mut ffi::PyUnicode_Type {
                    tree.text(leaf)?;
                } else if class == ffi::Py_TYPE(ffi::Py_None()) {
                    tree.writer.nil();
                } else if class == &raw mut ffi::PyFloat_Type
                    || class == &raw mut ffi::PyLong_Type
                    || class == &raw mut ffi::PyBool_Type
                    || class == &raw mut ffi::PyBytes_Type
                {
                    tree.value(leaf)?;
                } else {
                    return Err(Stop::NotPlain);
                }
            }
        }
        Ok(())
    };
    match write() {
        // A long text would have gone into a buffer of a frame, which there is none of.
        Ok(()) if tree.writer.fits() && tree.encoded.buffer_count() == 0 => Ok(Some(tree.writer.0)),
        Ok(()) | Err(Stop::NotPlain) => Ok(None),
        Err(Stop::Raised(error)) => Err(*error),
    }
}

/// A quick look, for objects that pickle has to do anyway.
fn may_be_plain(obj: *mut ffi::PyObject) -> bool {
    unsafe {
        let class = ffi::Py_TYPE(obj);
        class == &raw mut ffi::PyDict_Type
            || class == &raw mut ffi::PyList_Type
            || class == &raw mut ffi::PyTuple_Type
            || class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyBool_Type
            || obj == ffi::Py_None()
            || class == &raw mut ffi::PySet_Type
            || class == &raw mut ffi::PyFrozenSet_Type
            || class == &raw mut ffi::PyComplex_Type
    }
}

struct Tree<'py> {
    py: Python<'py>,
    /// numpy's array type, or null.
    ndarray: *mut ffi::PyTypeObject,
    writer: Writer,
    encoded: Encoded,
    /// Containers that somebody else may hold too.
    seen: Addresses,
    depth: usize,
}

impl Tree<'_> {
    unsafe fn value(&mut self, obj: *mut ffi::PyObject) -> Written {
        unsafe {
            let class = ffi::Py_TYPE(obj);
            if class == &raw mut ffi::PyUnicode_Type {
                self.text(obj)
            } else if class == &raw mut ffi::PyLong_Type {
                self.integer(obj)
            } else if class == &raw mut ffi::PyFloat_Type {
                self.writer.float(ffi::PyFloat_AS_DOUBLE(obj));
                Ok(())
            } else if class == &raw mut ffi::PyDict_Type {
                self.container(obj, Self::dict)
            } else if class == &raw mut ffi::PyList_Type {
                self.container(obj, Self::list)
            } else if class == &raw mut ffi::PyTuple_Type {
                self.tuple(obj)
            } else if obj == ffi::Py_None() {
                self.writer.nil();
                Ok(())
            } else if class == &raw mut ffi::PyBool_Type {
                self.writer.boolean(obj == ffi::Py_True());
                Ok(())
            } else if class == &raw mut ffi::PyBytes_Type {
                self.bytes(obj)
            } else if class == self.ndarray {
                self.array(obj)
            } else if class == &raw mut ffi::PySet_Type {
                self.container(obj, |tree, obj| tree.set(obj, Extension::Set))
            } else if class == &raw mut ffi::PyFrozenSet_Type {
                self.container(obj, |tree, obj| tree.set(obj, Extension::FrozenSet))
            } else if class == &raw mut ffi::PyByteArray_Type {
                self.mutable_bytes(obj)
            } else if class == &raw mut ffi::PyComplex_Type {
                let mut content = [0; 16];
                content[..8].copy_from_slice(&ffi::PyComplex_RealAsDouble(obj).to_le_bytes());
                content[8..].copy_from_slice(&ffi::PyComplex_ImagAsDouble(obj).to_le_bytes());
                self.writer.extension(Extension::Complex, &content);
                Ok(())
            } else {
                Err(Stop::NotPlain)
            }
        }
    }

    /// Stops at an object that is met a second time.
    unsafe fn meet(&mut self, obj: *mut ffi::PyObject) -> Written {
        if unsafe { ffi::Py_REFCNT(obj) } > 1 && !self.seen.insert(obj as usize) {
            return Err(Stop::NotPlain);
        }
        Ok(())
    }

    unsafe fn container(
        &mut self,
        obj: *mut ffi::PyObject,
        write: impl FnOnce(&mut Self, *mut ffi::PyObject) -> Written,
    ) -> Written {
        unsafe { self.meet(obj)? };
        if self.depth == MAX_DEPTH {
            return Err(Stop::NotPlain);
        }
        self.depth += 1;
        unsafe { ffi::Py_INCREF(obj) };
        let written = write(self, obj);
        unsafe { ffi::Py_DECREF(obj) };
        self.depth -= 1;
        written
    }

    fn dict(&mut self, dict: *mut ffi::PyObject) -> Written {
        unsafe {
            let len = length(ffi::PyDict_Size(dict))?;
            self.writer.map_header(len);
            let mut position = 0;
            let mut key = std::ptr::null_mut();
            let mut value = std::ptr::null_mut();
            let mut written = 0;
            while ffi::PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
                if written == len {
                    return Err(Stop::NotPlain);
                }
                if ffi::Py_TYPE(key) == &raw mut ffi::PyUnicode_Type {
                    self.text(key)?;
                    self.value(value)?;
                } else {
                    ffi::Py_INCREF(value);
                    let pair = self.value(key).and_then(|()| self.value(value));
                    ffi::Py_DECREF(value);
                    pair?;
                }
                written += 1;
            }
            exactly(written, len)
        }
    }

    fn list(&mut self, list: *mut ffi::PyObject) -> Written {
        unsafe {
            let len = length(ffi::PyList_GET_SIZE(list))?;
            self.writer.array_header(len);
            for index in 0..len as isize {
                if index >= ffi::PyList_GET_SIZE(list) {
                    return Err(Stop::NotPlain);
                }
                self.value(ffi::PyList_GET_ITEM(list, index))?;
            }
            Ok(())
        }
    }

    unsafe fn tuple(&mut self, tuple: *mut ffi::PyObject) -> Written {
        unsafe {
            let len = length(ffi::PyTuple_GET_SIZE(tuple))?;
            let leaves = estimate(tuple, len);
            let write = |tree: &mut Self, tuple: *mut ffi::PyObject| {
                let open = tree
                    .writer
                    .open(Extension::Tuple, leaves.is_some_and(|bytes| bytes <= 0xff));
                tree.writer.array_header(len);
                for index in 0..len as isize {
                    tree.value(ffi::PyTuple_GET_ITEM(tuple, index))?;
                }
                if !tree.writer.fits() {
                    return Err(Stop::NotPlain);
                }
                tree.writer.close(open);
                Ok(())
            };
            // A short tuple of leaves (a constant, often) may be met again: writing it twice
            // costs little, and nobody tells two of them apart.
            if leaves.is_some_and(|bytes| bytes <= 0xff) {
                ffi::Py_INCREF(tuple);
                let written = write(self, tuple);
                ffi::Py_DECREF(tuple);
                written
            } else {
                self.container(tuple, write)
            }
        }
    }

    fn set(&mut self, set: *mut ffi::PyObject, extension: Extension) -> Written {
        unsafe {
            let len = length(ffi::PySet_Size(set))?;
            let open = self.writer.open(extension, len <= 25);
            self.writer.array_header(len);
            let elements = Bound::from_owned_ptr_or_err(self.py, ffi::PyObject_GetIter(set))?;
            let mut written = 0;
            loop {
                let element = ffi::PyIter_Next(elements.as_ptr());
                let Some(element) = Bound::from_owned_ptr_or_opt(self.py, element) else {
                    break;
                };
                if written == len {
                    return Err(Stop::NotPlain);
                }
                self.value(element.as_ptr())?;
                written += 1;
            }
            // A set that changed meanwhile: pickle says so better.
            if let Some(error) = PyErr::take(self.py) {
                drop(error);
                return Err(Stop::NotPlain);
            }
            exactly(written, len)?;
            if !self.writer.fits() {
                return Err(Stop::NotPlain);
            }
            self.writer.close(open);
            Ok(())
        }
    }

    unsafe fn text(&mut self, obj: *mut ffi::PyObject) -> Written {
        unsafe {
            let utf8 = if ffi::PyUnicode_IS_COMPACT_ASCII(obj) != 0 {
                let len = ffi::PyUnicode_GET_LENGTH(obj) as usize;
                std::slice::from_raw_parts(ffi::PyUnicode_DATA(obj).cast::<u8>(), len)
            } else {
                let mut len = 0;
                let start = ffi::PyUnicode_AsUTF8AndSize(obj, &mut len);
                if start.is_null() {
                    // Lone surrogates.
                    ffi::PyErr_Clear();
                    return Err(Stop::NotPlain);
                }
                std::slice::from_raw_parts(start.cast::<u8>(), len as usize)
            };
            if utf8.len() >= WATCH_FROM {
                self.meet(obj)?;
                if utf8.len() >= BUFFER_FROM {
                    let text = Bound::from_borrowed_ptr(self.py, obj);
                    let index = self.encoded.buffer_count();
                    self.encoded.push_text(text.cast_unchecked::<PyString>())?;
                    BufferLeaf::Str.write(&mut self.writer, index);
                    return Ok(());
                }
            }
            self.writer.text(utf8);
            Ok(())
        }
    }

    unsafe fn bytes(&mut self, obj: *mut ffi::PyObject) -> Written {
        let object = unsafe { Bound::from_borrowed_ptr(self.py, obj) };
        let bytes = unsafe { object.cast_unchecked::<PyBytes>() };
        let content = bytes.as_bytes();
        if content.len() >= WATCH_FROM {
            unsafe { self.meet(obj)? };
            if content.len() >= BUFFER_FROM {
                let index = self.encoded.buffer_count();
                self.encoded.push_bytes(bytes);
                BufferLeaf::Bytes.write(&mut self.writer, index);
                return Ok(());
            }
        }
        self.writer.bytes(content);
        Ok(())
    }

    unsafe fn mutable_bytes(&mut self, obj: *mut ffi::PyObject) -> Written {
        unsafe { self.meet(obj)? };
        let object = unsafe { Bound::from_borrowed_ptr(self.py, obj) };
        let view = super::super::buffer::BufferView::contiguous(&object)?;
        if view.len() < BUFFER_FROM {
            self.writer.extension(Extension::MutableBytes, view.bytes());
        } else {
            let index = self.encoded.buffer_count();
            self.encoded.push_view(view);
            BufferLeaf::MutableBytes.write(&mut self.writer, index);
        }
        Ok(())
    }

    unsafe fn array(&mut self, obj: *mut ffi::PyObject) -> Written {
        unsafe { self.meet(obj)? };
        let object = unsafe { Bound::from_borrowed_ptr(self.py, obj) };
        let Some((description, view)) = ndarray::describe(&object)? else {
            return Err(Stop::NotPlain);
        };
        let description = description.to_bytes();
        if view.len() < OUT_OF_BAND_FROM {
            let len = 4 + description.len() + view.len();
            self.writer.extension_header(Extension::Array, len);
            let out = &mut self.writer.0;
            out.extend_from_slice(&(description.len() as u32).to_le_bytes());
            out.extend_from_slice(&description);
            out.extend_from_slice(view.bytes());
        } else {
            let index = self.encoded.buffer_count();
            self.encoded.push_view(view);
            BufferLeaf::Ndarray(&description).write(&mut self.writer, index);
        }
        Ok(())
    }

    unsafe fn integer(&mut self, obj: *mut ffi::PyObject) -> Written {
        unsafe {
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(obj, &mut overflow);
            if overflow == 0 {
                self.writer.signed(value);
                return Ok(());
            }
            let integer = Bound::from_borrowed_ptr(self.py, obj);
            if overflow > 0 {
                let value = ffi::PyLong_AsUnsignedLongLong(obj);
                if ffi::PyErr_Occurred().is_null() {
                    self.writer.unsigned(value);
                    return Ok(());
                }
                ffi::PyErr_Clear();
            }
            self.long_integer(&integer)
        }
    }

    fn long_integer(&mut self, integer: &Bound<'_, PyAny>) -> Written {
        let py = self.py;
        let bits: usize = integer
            .call_method0(pyo3::intern!(py, "bit_length"))?
            .extract()?;
        let options = PyDict::new(py);
        options.set_item(pyo3::intern!(py, "signed"), true)?;
        let content = integer.call_method(
            pyo3::intern!(py, "to_bytes"),
            (bits / 8 + 1, pyo3::intern!(py, "little")),
            Some(&options),
        )?;
        let content = content.cast::<PyBytes>().map_err(PyErr::from)?;
        self.writer
            .extension(Extension::Integer, content.as_bytes());
        Ok(())
    }
}

/// About how long a tuple will be, if it holds leaves alone.
unsafe fn estimate(tuple: *mut ffi::PyObject, len: usize) -> Option<usize> {
    let mut bytes = 5;
    for index in 0..len.min(64) as isize {
        unsafe {
            let item = ffi::PyTuple_GET_ITEM(tuple, index);
            let class = ffi::Py_TYPE(item);
            bytes += if class == &raw mut ffi::PyUnicode_Type {
                5 + ffi::PyUnicode_GET_LENGTH(item) as usize
            } else if class == &raw mut ffi::PyBytes_Type {
                5 + ffi::PyBytes_Size(item) as usize
            } else if class == &raw mut ffi::PyLong_Type
                || class == &raw mut ffi::PyFloat_Type
                || class == &raw mut ffi::PyBool_Type
                || item == ffi::Py_None()
            {
                9
            } else {
                return None;
            };
        }
    }
    Some(if len > 64 { usize::MAX } else { bytes })
}

fn length(len: isize) -> Result<usize, Stop> {
    u32::try_from(len)
        .map(|len| len as usize)
        .map_err(|_| Stop::NotPlain)
}

fn exactly(written: usize, len: usize) -> Written {
    if written == len {
        Ok(())
    } else {
        Err(Stop::NotPlain)
    }
}
