//! Objects in an envelope: compressed, signed or encrypted, where their store asks for it. The
//! envelope is described byte by byte in `docs/frame.md`, what it protects from in
//! `docs/security.md`.
//!
//! ```
//! use proxystore::Store;
//!
//! # // SAFETY: the only thread of this example.
//! unsafe { std::env::set_var("EXAMPLE_KEY", "5f".repeat(32)) };
//! let store = Store::open("secret", "memory://?encryption=env:EXAMPLE_KEY")?;
//! let key = store.put("nobody else reads this")?;
//! assert_eq!(store.get::<String>(&key)?.as_deref(), Some("nobody else reads this"));
//! # Ok::<(), proxystore::Error>(())
//! ```

mod compress;
mod connector;
mod envelope;
mod head;
mod key_ring;
mod link;
mod parallel;
mod protect;

pub use compress::Compression;
pub use connector::Sealed;
pub use envelope::Envelope;
pub use head::{BLOCK_LEN, HEAD_LEN, VERSION};
pub use key_ring::{KeyReference, new_key};
pub use link::{Link, Measured, choose};

use crate::config::{OptionValue, Url, setters};
use crate::{Blob, Connector, Error, ErrorKind, Key, Payload, Result};
use compress::Method;
use key_ring::KeyRing;
use protect::Protection;
use std::sync::Arc;

/// What a store asks of the envelopes of its objects. Keys are named, never given: an environment
/// variable, `env:NAME`, or a file that nobody else may read, `file:/path`.
///
/// ```
/// use proxystore::seal::{Compression, KeyReference, SealConfig};
///
/// let key: KeyReference = "env:CAMPAIGN_KEY".parse()?;
/// let config = SealConfig::default().compression(Compression::Zstd).signing(key);
/// assert_eq!(config.to_options(), "compression=zstd&signing=env:CAMPAIGN_KEY");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealConfig {
    /// Objects are compressed where a trial says that it pays.
    pub compression: Option<Compression>,
    /// Objects are encrypted, and readers refuse all that was not encrypted with this key.
    pub encryption: Option<KeyReference>,
    /// Objects are signed, and readers refuse all that was not signed with this key.
    pub signing: Option<KeyReference>,
}

setters!(SealConfig {
    compression: impl Into<Option<Compression>>,
    encryption: impl Into<Option<KeyReference>>,
    signing: impl Into<Option<KeyReference>>,
} {});

impl SealConfig {
    /// Takes its options out of a URL: `compression`, `encryption` and `signing`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a value that is none.
    pub fn of_url(url: &mut Url) -> Result<Self> {
        Ok(Self {
            compression: url.take("compression")?,
            encryption: url.take("encryption")?,
            signing: url.take("signing")?,
        })
    }

    /// Its options as they stand in a URL, behind the `?`.
    #[must_use]
    pub fn to_options(&self) -> String {
        let reference = |name: &str, key: &KeyReference| format!("{name}={}", key.to_option());
        let options = [
            self.compression
                .map(|compression| format!("compression={}", compression.name())),
            self.encryption
                .as_ref()
                .map(|key| reference("encryption", key)),
            self.signing.as_ref().map(|key| reference("signing", key)),
        ];
        options.into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do with objects on their way in and out, with the keys for it.
///
/// ```
/// use proxystore::seal::{Compression, Seal, SealConfig};
/// use proxystore::{Blob, Payload};
///
/// let config = SealConfig::default().compression(Compression::Lz4);
/// let seal = Seal::new(&config)?;
/// let content = vec![7; 100_000];
/// let payload = Payload::from_bytes(&content);
/// let envelope = seal.wrap(&payload, None, None)?.expect("it pays");
/// let stored = envelope.payload().to_vec();
/// assert!(stored.len() < 2000);
/// assert_eq!(&seal.open(Blob::from(stored), None)?[..], &content[..]);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Debug)]
pub struct Seal {
    config: SealConfig,
    compression: Option<Compression>,
    protection: Protection,
    keys: KeyRing,
}

impl Seal {
    /// Reads the key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if there is no sound key where the configuration says, if
    /// others may read its file, or if both ways of protection are given.
    pub fn new(config: &SealConfig) -> Result<Self> {
        let (protection, keys) = match (&config.encryption, &config.signing) {
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidConfig,
                    "`encryption` and `signing` exclude one another: what is encrypted is \
                     authenticated already",
                ));
            }
            (Some(key), None) => (Protection::Encrypted, KeyRing::load(key)?),
            (None, Some(key)) => (Protection::Signed, KeyRing::load(key)?),
            (None, None) => (Protection::Checked, KeyRing::default()),
        };
        Ok(Self {
            config: config.clone(),
            compression: config.compression,
            protection,
            keys,
        })
    }

    /// What it was made of.
    #[must_use]
    pub fn config(&self) -> &SealConfig {
        &self.config
    }

    /// Whether readers refuse what was not written with the key.
    #[must_use]
    pub fn demands_key(&self) -> bool {
        self.protection != Protection::Checked
    }

    /// The envelope of an object, or `None` if it is stored as it is. With the object's key the
    /// envelope is bound to it: under another key it is refused. `link` is what is known of the
    /// connector's speed; without, [`Compression::Auto`] compresses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system gives no random numbers or no memory.
    pub fn wrap<'a>(
        &self,
        payload: &'a Payload<'_>,
        key: Option<&Key>,
        link: Option<&Link>,
    ) -> Result<Option<Envelope<'a>>> {
        let method = match self.compression {
            None => Method::None,
            Some(compression) => link::try_out(compression, payload, link),
        };
        if method == Method::None && !self.demands_key() {
            return Ok(None);
        }
        envelope::seal(payload, method, self.protection, self.keys.writing(), key).map(Some)
    }

    /// What an envelope holds, in memory of its own that is aligned as frames want it; or what is
    /// given, if it is no envelope and no key is demanded.
    ///
    /// Of a signed envelope without compression this is a part of the blob itself, which must be
    /// memory that nobody else can change.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] if the store demands a key and this was not written with it, was
    /// changed since, or is bound to another object's key; [`ErrorKind::InvalidFrame`] for an
    /// envelope that is cut off or damaged; [`ErrorKind::NewerFrame`] for one of a newer version;
    /// [`ErrorKind::TooLarge`] if its content would not fit in memory.
    pub fn open(&self, blob: Blob, key: Option<&Key>) -> Result<Blob> {
        self.open_bound(blob, key, false)
    }

    /// As [`open`](Self::open); with `demand`, only if the envelope is bound to the key.
    fn open_bound(&self, blob: Blob, key: Option<&Key>, demand: bool) -> Result<Blob> {
        if !is_envelope(&blob) {
            return if self.demands_key() {
                Err(self.refusal("it is neither signed nor encrypted"))
            } else {
                Ok(blob)
            };
        }
        envelope::open(self, &blob, key, demand)
    }

    fn refusal(&self, why: &str) -> Error {
        let demanded = match self.protection {
            Protection::Encrypted => "encrypted",
            Protection::Signed => "signed",
            Protection::Checked => "plain or compressed",
        };
        Error::new(
            ErrorKind::Untrusted,
            format!("an object that was refused: its store takes {demanded} objects, and {why}"),
        )
    }
}

/// Whether the bytes begin as an envelope does.
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    bytes.starts_with(&crate::frame::ENVELOPE_MAGIC)
}

/// How the blocks of what was stored are compressed, if they are.
fn method_of(bytes: &[u8]) -> Method {
    match bytes.get(5) {
        Some(byte) if is_envelope(bytes) => Method::of_byte(*byte).unwrap_or(Method::None),
        _ => Method::None,
    }
}

/// A connector through which objects go as its configuration says; itself if that is nothing.
///
/// # Errors
/// As [`Seal::new`].
pub fn seal(connector: Arc<dyn Connector>, config: &SealConfig) -> Result<Arc<dyn Connector>> {
    if config.is_empty() {
        return Ok(connector);
    }
    let seal = Arc::new(Seal::new(config)?);
    Ok(Arc::new(Sealed::new(connector, seal)))
}

impl OptionValue for Compression {
    const EXPECTED: &'static str = "auto, zstd or lz4";
    fn from_text(text: &str) -> Option<Self> {
        Self::from_name(text)
    }
}

impl OptionValue for KeyReference {
    const EXPECTED: &'static str = "`env:NAME` or `file:/path`, which names a key";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests;
