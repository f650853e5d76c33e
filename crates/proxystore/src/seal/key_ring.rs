//! Keys: where they are, and what is derived from them.

use crate::{Error, ErrorKind, Result};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// Bytes of what tells keys apart.
pub(super) const ID_LEN: usize = 8;
/// Bytes of an envelope's salt.
pub(super) const SALT_LEN: usize = 24;
/// Nobody has a key file longer than this.
const LONGEST: u64 = 64 << 10;

/// Where a key is: an environment variable, `env:NAME`, or a file, `file:/path`, that only its
/// owner may read (0600).
///
/// There stand one or more keys, each 64 hexadecimal digits, with white space or commas between;
/// in a file, what follows `#` is a remark. The first one writes, all of them read: so keys are
/// changed without a break. `proxystore key new FILE` or `openssl rand -hex 32` makes one.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyReference {
    /// An environment variable of each process.
    Variable(String),
    /// A file on each machine.
    File(PathBuf),
}

impl FromStr for KeyReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        };
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self::Variable(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') && !path.contains('\0') => {
                Ok(Self::File(path.into()))
            }
            // It is not said what was given: it may be the key.
            _ => Err(invalid(
                "a key is named, not given: `env:NAME` for an environment variable, or \
                 `file:/path` for a file with mode 0600"
                    .to_owned(),
            )),
        }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl KeyReference {
    pub(super) fn to_option(&self) -> String {
        match self {
            Self::Variable(name) => format!("env:{name}"),
            Self::File(path) => {
                format!("file:{}", crate::percent::encode(&path.to_string_lossy()))
            }
        }
    }

    fn read(&self) -> Result<String> {
        match self {
            Self::Variable(name) => std::env::var(name).map_err(|_| {
                invalid(format!(
                    "the environment variable {name}, which is to hold the store's key, is not \
                     set in this process"
                ))
            }),
            Self::File(path) => {
                let failed =
                    |error| Error::io(error, format!("reading the key file {}", path.display()));
                let file = std::fs::File::open(path).map_err(failed)?;
                let about = file.metadata().map_err(failed)?;
                if about.mode() & 0o077 != 0 {
                    return Err(invalid(format!(
                        "others may read or write the key file {}: `chmod 600` it, and make a new \
                         key if somebody may have read it",
                        path.display()
                    )));
                }
                let mut text = String::new();
                file.take(LONGEST)
                    .read_to_string(&mut text)
                    .map_err(failed)?;
                let lines = text
                    .lines()
                    .map(|line| line.split('#').next().unwrap_or(""));
                Ok(lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// A new key, as text.
///
/// # Errors
/// [`ErrorKind::Io`] if the system gives no random numbers.
pub fn new_key() -> Result<String> {
    let bytes: [u8; KEY_LEN] = random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Io, "the system gives no random numbers"))?;
    Ok(bytes)
}

/// The keys of a store: the first one writes, all of them read.
#[derive(Default)]
pub(super) struct KeyRing {
    keys: Vec<MasterKey>,
}

/// Keys of single objects are derived from it.
pub(super) struct MasterKey {
    bytes: [u8; KEY_LEN],
    pub(super) id: [u8; ID_LEN],
}

impl KeyRing {
    pub(super) fn load(reference: &KeyReference) -> Result<Self> {
        let text = reference.read()?;
        let mut keys = Vec::new();
        for word in text.split(|letter: char| letter.is_whitespace() || letter == ',') {
            if !word.is_empty() {
                keys.push(MasterKey::of_text(word).ok_or_else(|| {
                    invalid(format!(
                        "{reference} holds no sound key: a key is 64 hexadecimal digits, as \
                         `proxystore key new FILE` or `openssl rand -hex 32` makes it"
                    ))
                })?);
            }
        }
        if keys.is_empty() {
            return Err(invalid(format!("{reference} holds no key: it is empty")));
        }
        Ok(Self { keys })
    }

    /// The key that writes, if there is one.
    pub(super) fn writing(&self) -> Option<&MasterKey> {
        self.keys.first()
    }

    pub(super) fn by_id(&self, id: [u8; ID_LEN]) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl MasterKey {
    fn of_text(text: &str) -> Option<Self> {
        let mut bytes = [0; KEY_LEN];
        if text.len() != 2 * KEY_LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        let mut key = Self {
            bytes,
            id: [0; ID_LEN],
        };
        key.id = key.derive(&[], b"proxystore envelope 1: key id");
        Some(key)
    }

    /// HKDF-SHA256.
    pub(super) fn derive<const N: usize>(&self, salt: &[u8], purpose: &[u8]) -> [u8; N] {
        let extracted: Prk = Salt::new(HKDF_SHA256, salt).extract(&self.bytes);
        let mut derived = [0; N];
        // Neither can fail: `N` is at most 32, and HKDF gives up to 255 times that.
        if let Ok(output) = extracted.expand(&[purpose], Length(N)) {
            let _ = output.fill(&mut derived);
        }
        derived
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}
