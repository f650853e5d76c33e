//! What stands for a key while its object is fetched.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyString, PyTuple};

/// How deep tuples in a key are followed.
const DEEPEST: usize = 8;

/// Bytes that two keys share only if they are the same key, so that threads that want one object
/// share its fetch. `None` for a key that has none: its gets are not shared.
///
/// Every part is told by a letter and its length, so that no part can look like two others. What is
/// not text, bytes, a small number, nothing or a tuple of such is pickled: equal keys may then
/// differ, which costs a fetch, but different keys never look the same.
pub(super) fn flight_name(key: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    let mut name = Vec::with_capacity(64);
    if plain(key, &mut name, 0).is_some() {
        return Ok(Some(name));
    }
    let py = key.py();
    let pickled = py.import("pickle")?.call_method1("dumps", (key, 5));
    match pickled {
        Ok(bytes) => {
            let bytes = bytes.cast::<PyBytes>()?;
            name.clear();
            add(&mut name, b'p', bytes.as_bytes());
            Ok(Some(name))
        }
        // A key that does not pickle still is a key.
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyException>(py) => Ok(None),
        Err(interrupt) => Err(interrupt),
    }
}

fn add(name: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    name.push(letter);
    name.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    name.extend_from_slice(bytes);
}

/// Adds what the key is made of; `None` if it has a part of another kind.
fn plain(part: &Bound<'_, PyAny>, name: &mut Vec<u8>, depth: usize) -> Option<()> {
    if let Ok(text) = part.cast::<PyString>() {
        // Lone surrogates have no UTF-8: such a key is pickled.
        add(name, b's', text.to_str().ok()?.as_bytes());
    } else if let Ok(bytes) = part.cast::<PyBytes>() {
        add(name, b'b', bytes.as_bytes());
    } else if part.is_none() {
        add(name, b'n', &[]);
    } else if part.is_instance_of::<PyBool>() || part.is_instance_of::<PyInt>() {
        // `True` is equal to 1, as a key of a dictionary too.
        add(name, b'i', &part.extract::<i128>().ok()?.to_le_bytes());
    } else if let Ok(fields) = part.cast::<PyTuple>() {
        if depth == DEEPEST {
            return None;
        }
        add(name, b't', &(fields.len() as u64).to_le_bytes());
        for field in fields {
            plain(&field, name, depth + 1)?;
        }
    } else {
        return None;
    }
    Some(())
}
