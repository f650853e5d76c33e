//! What ProxyStore 1.x left in a directory: an object is a file named by a UUID, and an empty file
//! `<uuid>.ready` beside it says that it is whole. Such objects are read as they are, and their
//! markers go with them.

use super::system::{self, Name};
use crate::Key;
use std::ffi::CStr;
use std::os::fd::RawFd;

const MARKER: &str = ".ready";

/// Whether a file is an object of ProxyStore 1.x, or the marker of one.
pub(super) fn is_older(directory: RawFd, name: &str, found: &libc::stat) -> bool {
    match name.strip_suffix(MARKER) {
        Some(object) => is_uuid(object) && found.st_size == 0,
        None => marker(name).is_some_and(|marker| exists(directory, marker.as_c_str())),
    }
}

/// Removes the marker of an object that was just removed, if it had one.
pub(super) fn remove_marker(directory: RawFd, key: &Key) {
    if let Some(marker) = marker(key.as_str()) {
        let _ = system::unlink_at(directory, marker.as_c_str());
    }
}

fn exists(directory: RawFd, name: &CStr) -> bool {
    system::access_at(directory, name).is_ok()
}

fn marker(name: &str) -> Option<Name> {
    is_uuid(name).then(|| Name::new(&format!("{name}{MARKER}")))
}

fn is_uuid(name: &str) -> bool {
    name.len() == 36
        && name.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_uuid() {
        assert!(is_uuid("14ad72df-5623-448e-a51a-61a9a0fd21b5"));
        for name in ["", "14ad72df-5623-448e-a51a-61a9a0fd21b", "notes"] {
            assert!(!is_uuid(name));
        }
        assert!(!is_uuid(Key::fresh().as_str()));
    }
}
