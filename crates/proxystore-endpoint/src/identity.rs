//! Who an endpoint is: an Ed25519 key, its public half as text, and the UUID that stands for it.
//!
//! The secret half is a file of mode 0600 in the endpoint's folder. The public half is 64 lower-case hexadecimal
//! digits wherever people or files see it. An endpoint's UUID, the name that ProxyStore 1.x uses, is an alias of the
//! key; unless one is configured it is derived from the key, so that everybody derives the same.

use proxystore::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

#[cfg(feature = "daemon")]
mod key_file;
#[cfg(feature = "daemon")]
pub use key_file::SecretKey;

/// The public half of an endpoint's key: what others know it by.
///
/// ```
/// use proxystore_endpoint::identity::PublicKey;
///
/// let text = "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";
/// let key: PublicKey = text.parse()?;
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key of these bytes. Whether they are a point of the curve shows when the key is first used.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten digits, for tables and logs.
    #[must_use]
    pub fn short(&self) -> String {
        hexadecimal(&self.0[..5])
    }

    /// The UUID that stands for this key unless its endpoint has another: version 8, the first bytes of the key's
    /// SHA-256.
    #[cfg(feature = "daemon")]
    #[must_use]
    pub fn alias(&self) -> Alias {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.0);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Alias(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}…)", self.short())
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match bytes_of(text) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "{:?} is not an endpoint's public key: one has 64 hexadecimal digits (`proxystore-endpoint list` \
                     shows it)",
                    shortened(text)
                ),
            )),
        }
    }
}

/// A UUID that stands for a key.
///
/// ```
/// use proxystore_endpoint::identity::Alias;
///
/// let alias: Alias = "5f3a9c40-6b1e-4d57-9a0e-2f4c8b7d1e63".parse()?;
/// assert_eq!(alias.to_string(), "5f3a9c40-6b1e-4d57-9a0e-2f4c8b7d1e63");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias([u8; 16]);

impl Alias {
    /// The UUID of these bytes, in the order of its text.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The UUID's bytes, in the order of its text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hexadecimal(&self.0);
        write!(
            f,
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        )
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alias({self})")
    }
}

impl FromStr for Alias {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let dashes = text.len() == 36
            && [8, 13, 18, 23]
                .iter()
                .all(|&at| text.as_bytes()[at] == b'-');
        let digits: String = text.chars().filter(|&letter| letter != '-').collect();
        match bytes_of(&digits) {
            Some(bytes) if dashes || text.len() == 32 => Ok(Self(bytes)),
            _ => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{:?} is not a UUID", shortened(text)),
            )),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// What of a user's text goes into an error: it may be a secret pasted by mistake, so never the whole of a long one.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end / 4]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_keys_and_aliases_is_exact() {
        let key = PublicKey::from_bytes(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        assert_eq!(
            key.to_string().to_uppercase().parse::<PublicKey>().unwrap(),
            key
        );
        let alias = Alias::from_bytes(std::array::from_fn(|at| at as u8 * 9));
        assert_eq!(alias.to_string().parse::<Alias>().unwrap(), alias);
        assert_eq!(
            alias.to_string().replace('-', "").parse::<Alias>().unwrap(),
            alias
        );
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        let letters = "é".repeat(32);
        for text in [
            "",
            "abc",
            "zz",
            "5f3a9c40-6b1e4d57-9a0e-2f4c-8b7d1e63",
            &letters,
        ] {
            let error = text.parse::<Alias>().unwrap_err();
            assert!(error.to_string().contains("is not a UUID"), "{error}");
            let error = text.parse::<PublicKey>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(
                error.to_string().contains("64 hexadecimal digits"),
                "{error}"
            );
        }
        let long = "s".repeat(200);
        let error = long.parse::<PublicKey>().unwrap_err();
        assert!(!error.to_string().contains(&long[..50]), "{error}");
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn the_derived_alias_is_frozen() {
        let key = PublicKey::from_bytes([7; 32]);
        assert_eq!(
            key.alias().to_string(),
            "4bb06f8e-4e3a-8715-9201-d573d0aa4237"
        );
    }
}
