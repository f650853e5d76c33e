//! Names of stored objects.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Longest key that is taken, in bytes: what a file name may have.
const MAX_LEN: usize = 255;

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
pub struct Key(Box<str>);

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
            Ok(Self(name.into()))
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
        let (seed, count) = (process_seed(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let bits = (seed << 48) | u128::from(count & ((1 << 48) - 1));
        let mut text = String::with_capacity(26);
        for place in (0..26).rev() {
            text.push(char::from(ALPHABET[(bits >> (5 * place)) as usize & 31]));
        }
        Self(text.into_boxed_str())
    }

    /// Whether a name has the form of those that [`fresh`](Self::fresh) makes.
    #[must_use]
    pub fn is_fresh_form(name: &str) -> bool {
        name.len() == 26 && name.bytes().all(|byte| ALPHABET.contains(&byte))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Crockford's base 32: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

static COUNTER: AtomicU64 = AtomicU64::new(0);
static SEED_HIGH: AtomicU64 = AtomicU64::new(0);
static SEED_LOW: AtomicU64 = AtomicU64::new(0);
/// The process that the seed belongs to: a forked child draws its own.
static SEED_PROCESS: AtomicU32 = AtomicU32::new(0);

fn process_seed() -> u128 {
    // `getpid` costs some 50 ns; a child that kept its parent's seed would overwrite its objects.
    let process = std::process::id();
    if SEED_PROCESS.load(Ordering::Acquire) != process {
        static DRAW: std::sync::Mutex<()> = std::sync::Mutex::new(());
        // A fork while another thread draws leaves the lock taken in the child for good, so the
        // child must not wait for it: two draws at once only waste one.
        let _guard = DRAW.try_lock();
        let mut random = [0_u8; 16];
        fill_random(&mut random);
        let bits = u128::from_le_bytes(random);
        SEED_HIGH.store((bits >> 64) as u64, Ordering::Relaxed);
        SEED_LOW.store(bits as u64, Ordering::Relaxed);
        SEED_PROCESS.store(process, Ordering::Release);
    }
    let high = u128::from(SEED_HIGH.load(Ordering::Relaxed));
    ((high << 64) | u128::from(SEED_LOW.load(Ordering::Relaxed))) & ((1 << 80) - 1)
}

/// Fills from the kernel's generator.
fn fill_random(bytes: &mut [u8]) {
    // SAFETY: the pointer and length describe the slice. Up to 256 bytes are never short.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(
        got,
        bytes.len() as isize,
        "the kernel's random generator failed"
    );
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
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
