//! MessagePack to Python's values.

use super::super::arenas::HugeArenas;
use super::super::buffer::{BlobMemory, Source};
use super::super::garbage;
use super::super::{ndarray, pickle, text};
use super::keys::Keys;
use crate::error::to_python;
use proxystore::Error;
use proxystore::codec::message_pack::{BufferLeaf, Extension, MAX_DEPTH, Reader, Token, malformed};
use proxystore::codec::ndarray::Description;
use proxystore::frame::Frame;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PySet};

/// Why a tree was not read.
pub(super) enum Stop {
    Frame(Error),
    Raised(Box<PyErr>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Frame(error)
    }
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Raised(Box::new(error))
    }
}

pub(super) type Value<'py> = Result<Bound<'py, PyAny>, Stop>;

/// The tree of a frame.
pub(in super::super) fn decode<'py>(
    py: Python<'py>,
    frame: &Frame<'_>,
    source: &Source,
) -> PyResult<Bound<'py, PyAny>> {
    decode_part(py, Some((frame, source)), frame.stream())
}

/// One value, which may refer to the buffers of the frame that it is part of.
pub(in super::super) fn decode_part<'py>(
    py: Python<'py>,
    message: Option<(&Frame<'_>, &Source)>,
    stream: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let mut tree = Tree {
        py,
        message,
        keys: Keys::for_stream(stream),
        depth: 0,
    };
    let _arenas = HugeArenas::for_objects_of(py, stream.len());
    let pause = garbage::Pause::begin(py);
    let mut reader = Reader::new(stream);
    let value = tree.value(&mut reader, false).and_then(|value| {
        if reader.is_at_end() {
            Ok(value)
        } else {
            Err(malformed().into())
        }
    });
    pause.end_after(stream.len())?;
    value.map_err(|stop| match stop {
        Stop::Frame(error) => to_python(py, error),
        Stop::Raised(error) => pickle::failed_to_load(py, *error),
    })
}

/// Calls `take` with each element of what `encode_leaves` made, in order, `len` times.
pub(in super::super) fn decode_leaves<'py>(
    py: Python<'py>,
    packed: &[u8],
    len: usize,
    mut take: impl FnMut(usize, Bound<'py, PyAny>),
) -> PyResult<()> {
    let mut keys = Keys::for_stream(packed);
    let mut reader = Reader::new(packed);
    let mut read = || {
        if !matches!(reader.token()?, Token::Array(count) if count == len) {
            return Err(malformed().into());
        }
        for index in 0..len {
            let leaf = match reader.token()? {
                // Of a column's texts many are the same, as of keys.
                Token::Str(utf8) => keys.get_or_make(py, utf8)?,
                Token::Nil => py.None().into_bound(py),
                Token::Float(value) => into_any(PyFloat::new(py, value)),
                Token::Int(value) => into_any(PyInt::new(py, value)),
                Token::Uint(value) => into_any(PyInt::new(py, value)),
                Token::Bool(value) => into_any(pyo3::types::PyBool::new(py, value).to_owned()),
                Token::Bytes(bytes) => text::copy_to_bytes(py, bytes)?,
                Token::Extension(number, content)
                    if Extension::from_number(number) == Some(Extension::Integer) =>
                {
                    integer(py, content)?
                }
                _ => return Err(malformed().into()),
            };
            take(index, leaf);
        }
        Ok(())
    };
    read().map_err(|stop: Stop| match stop {
        Stop::Frame(error) => to_python(py, error),
        Stop::Raised(error) => *error,
    })
}

struct Tree<'a, 'py> {
    py: Python<'py>,
    message: Option<(&'a Frame<'a>, &'a Source)>,
    keys: Keys<'a, 'py>,
    depth: usize,
}

impl<'a, 'py> Tree<'a, 'py> {
    fn value(&mut self, reader: &mut Reader<'a>, is_key: bool) -> Value<'py> {
        let py = self.py;
        Ok(match reader.token()? {
            Token::Str(utf8) if is_key => self.keys.get_or_make(py, utf8)?,
            Token::Str(utf8) => new_text(py, utf8)?,
            Token::Int(value) => into_any(PyInt::new(py, value)),
            Token::Uint(value) => into_any(PyInt::new(py, value)),
            Token::Float(value) => into_any(PyFloat::new(py, value)),
            Token::Nil => py.None().into_bound(py),
            Token::Bool(value) => into_any(pyo3::types::PyBool::new(py, value).to_owned()),
            Token::Bytes(bytes) => text::copy_to_bytes(py, bytes)?,
            Token::Array(len) => self.nested(|tree| tree.list(reader, len))?,
            Token::Map(len) => self.nested(|tree| tree.dict(reader, len))?,
            Token::Extension(number, content) => {
                let extension = Extension::from_number(number).ok_or_else(malformed)?;
                self.nested(|tree| tree.extension(extension, content))?
            }
        })
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Value<'py>) -> Value<'py> {
        // A leaf that is an extension takes a level of its own.
        if self.depth > MAX_DEPTH {
            return Err(malformed().into());
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self, reader: &mut Reader<'a>, len: usize) -> Value<'py> {
        // SAFETY: a new list of `len` empty places, which are filled once each and in order; the
        // reader has checked that so many elements can be there. Empty places are harmless when
        // reading stops in between.
        unsafe {
            let list =
                Bound::from_owned_ptr_or_err(self.py, ffi::PyList_New(len as ffi::Py_ssize_t))?;
            for index in 0..len {
                let item = self.value(reader, false)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr());
            }
            Ok(list)
        }
    }

    fn tuple(&mut self, reader: &mut Reader<'a>, len: usize) -> Value<'py> {
        // SAFETY: as in `list`; nobody else has the tuple yet.
        unsafe {
            let tuple =
                Bound::from_owned_ptr_or_err(self.py, ffi::PyTuple_New(len as ffi::Py_ssize_t))?;
            for index in 0..len {
                let item = self.value(reader, false)?;
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr());
            }
            Ok(tuple)
        }
    }

    fn dict(&mut self, reader: &mut Reader<'a>, len: usize) -> Value<'py> {
        let dict = PyDict::new(self.py);
        for _ in 0..len {
            let key = self.value(reader, true)?;
            let value = self.value(reader, false)?;
            // SAFETY: three live objects; the dict takes references of its own.
            let failed =
                unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0;
            if failed {
                return Err(PyErr::fetch(self.py).into());
            }
        }
        Ok(dict.into_any())
    }

    fn extension(&mut self, extension: Extension, content: &'a [u8]) -> Value<'py> {
        let py = self.py;
        match extension {
            Extension::Integer => integer(py, content),
            Extension::Tuple => self.sequence(content, Self::tuple),
            Extension::Set => self.sequence(content, |tree, reader, len| {
                let set = PySet::empty(py)?;
                for _ in 0..len {
                    set.add(tree.value(reader, false)?)?;
                }
                Ok(set.into_any())
            }),
            Extension::FrozenSet => self.sequence(content, |tree, reader, len| {
                let list = tree.list(reader, len)?;
                // SAFETY: gives a new reference or raises.
                let set = unsafe {
                    Bound::from_owned_ptr_or_err(py, ffi::PyFrozenSet_New(list.as_ptr()))?
                };
                debug_assert!(set.is_exact_instance_of::<PyFrozenSet>());
                Ok(set)
            }),
            Extension::Complex => {
                let (real, imaginary) = content.split_first_chunk().ok_or_else(malformed)?;
                let imaginary = imaginary.try_into().map_err(|_| malformed())?;
                let real = f64::from_le_bytes(*real);
                Ok(into_any(PyComplex::from_doubles(
                    py,
                    real,
                    f64::from_le_bytes(imaginary),
                )))
            }
            Extension::MutableBytes => Ok(text::copy_to_bytearray(py, content)?),
            Extension::Buffer => self.buffer(content),
            Extension::Array => {
                let (len, rest) = content.split_first_chunk().ok_or_else(malformed)?;
                let len = u32::from_le_bytes(*len) as usize;
                let (description, elements) = rest.split_at_checked(len).ok_or_else(malformed)?;
                let memory = BlobMemory::copy_from(py, elements);
                Ok(ndarray::build(
                    py,
                    &Description::parse(description)?,
                    memory,
                )?)
            }
            _ => Err(malformed().into()),
        }
    }

    /// The one array that is the content of an extension.
    fn sequence(
        &mut self,
        content: &'a [u8],
        read: impl FnOnce(&mut Self, &mut Reader<'a>, usize) -> Value<'py>,
    ) -> Value<'py> {
        let mut reader = Reader::enter(content);
        let Token::Array(len) = reader.token()? else {
            return Err(malformed().into());
        };
        let value = read(self, &mut reader, len)?;
        if reader.is_at_end() {
            Ok(value)
        } else {
            Err(malformed().into())
        }
    }

    fn buffer(&self, content: &[u8]) -> Value<'py> {
        let py = self.py;
        let (leaf, index) = BufferLeaf::parse(content)?;
        let (frame, source) = self.message.ok_or_else(malformed)?;
        let range = frame
            .buffer_ranges()
            .get(index)
            .cloned()
            .ok_or_else(malformed)?;
        Ok(match leaf {
            BufferLeaf::Bytes => text::copy_to_bytes(py, frame.buffer(index))?,
            BufferLeaf::MutableBytes => text::copy_to_bytearray(py, frame.buffer(index))?,
            BufferLeaf::Str => text::decode_str(py, frame.buffer(index))?,
            BufferLeaf::Ndarray(description) => {
                let description = Description::parse(description)?;
                ndarray::build(py, &description, source.memory(py, range))?
            }
        })
    }
}

fn integer<'py>(py: Python<'py>, content: &[u8]) -> Value<'py> {
    let options = PyDict::new(py);
    options.set_item(pyo3::intern!(py, "signed"), true)?;
    let bytes = text::copy_to_bytes(py, content)?;
    Ok(py.get_type::<PyInt>().call_method(
        pyo3::intern!(py, "from_bytes"),
        (bytes, pyo3::intern!(py, "little")),
        Some(&options),
    )?)
}

fn into_any<'py, T>(value: Bound<'py, T>) -> Bound<'py, PyAny> {
    value.into_any()
}

/// A short text; ASCII, as most are, needs no decoding. (Of the texts of one character CPython
/// keeps one each, which its own function finds.)
#[inline]
pub(super) fn new_text<'py>(py: Python<'py>, utf8: &[u8]) -> Value<'py> {
    if (2..256).contains(&utf8.len()) && utf8.is_ascii() {
        // SAFETY: an ASCII string of `len` characters has `len` bytes of data, and nobody else
        // has seen it yet.
        unsafe {
            let text = ffi::PyUnicode_New(utf8.len() as ffi::Py_ssize_t, 127);
            let text = Bound::from_owned_ptr_or_err(py, text)?;
            let data = ffi::PyUnicode_DATA(text.as_ptr()).cast::<u8>();
            std::ptr::copy_nonoverlapping(utf8.as_ptr(), data, utf8.len());
            return Ok(text);
        }
    }
    Ok(text::decode_str(py, utf8)?)
}
