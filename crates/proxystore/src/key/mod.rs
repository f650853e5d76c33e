//! Names of stored objects.

use crate::{Error, ErrorKind, Result};
use smallvec::SmallVec;
use std::fmt;
use std::str::FromStr;

mod seed;

/// Longest key that is taken, in bytes: what a file name may have.
const MAX_LEN: usize = 255;
/// Length of the keys that [`Key::fresh`] makes: 130 bits, five in each character.
const FRESH_LEN: usize = 26;

/// The name of one stored object: 1 to 255 bytes of text without `/` or NUL, not `.` or `..`,
/// so that every connector, a directory of files too, can use it as it is.
///
/// ```
/// use proxystore::Key;
///
/// assert_ne!(Key::fresh(), Key::fresh());
/// assert!(Key::new("../etc/passwd").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(
    /// Always text. Fresh keys need no memory of their own.
    SmallVec<[u8; 32]>,
);

impl Key {
    /// A key of the given name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKey`] if the name is empty, too long or could leave its directory.
    pub fn new(name: &str) -> Result<Self> {
        let sound = !name.is_empty()
            && name.len() <= MAX_LEN
            && name != "."
            && name != ".."
            && !name.bytes().any(|byte| byte == b'/' || byte == 0);
        if sound {
            Ok(Self(SmallVec::from_slice(name.as_bytes())))
        } else {
            Err(Error::new(
                ErrorKind::InvalidKey,
                format!("{name:?} is no key: 1 to {MAX_LEN} bytes without '/' or NUL are taken"),
            ))
        }
    }

    /// A name that nobody has used: 80 random bits of this process and a 48-bit counter, in 26
    /// characters of lower-case base 32. Unguessable from outside; unique after `fork` too.
    #[must_use]
    pub fn fresh() -> Self {
        let bits = seed::next();
        let mut text = [0; FRESH_LEN];
        for (place, character) in text.iter_mut().rev().enumerate() {
            *character = ALPHABET[(bits >> (5 * place)) as usize & 31];
        }
        Self(SmallVec::from_slice(&text))
    }

    /// Whether a name has the form of those that [`fresh`](Self::fresh) makes.
    #[must_use]
    pub fn is_fresh_form(name: &str) -> bool {
        name.len() == FRESH_LEN && name.bytes().all(|byte| ALPHABET.contains(&byte))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: made from text, or from characters of the alphabet, and never changed.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }
}

/// Crockford's base 32: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// As [`Key::new`].
impl FromStr for Key {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// As its name.
#[cfg(feature = "serde")]
impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_keys_differ_and_are_sound() {
        let keys: std::collections::HashSet<_> = (0..10_000).map(|_| Key::fresh()).collect();
        assert_eq!(keys.len(), 10_000);
        assert!(
            keys.iter()
                .all(|key| key.as_str().len() == 26 && Key::new(key.as_str()).is_ok())
        );
    }

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for name in ["", ".", "..", "a/b", "/etc", "a\0b", &"x".repeat(256)] {
            assert_eq!(
                Key::new(name).unwrap_err().kind(),
                ErrorKind::InvalidKey,
                "{name:?}"
            );
        }
    }
}
