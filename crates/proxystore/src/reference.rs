//! The small, language-neutral form of a proxy.

use crate::config::Url;
use crate::percent;
use crate::{Error, ErrorKind, Key, Result};
use std::fmt;
use std::str::FromStr;

/// What a program in any language needs to find an object: one line of text.
///
/// ```text
/// redis://127.0.0.1:6379/0#store=results&key=06bq…
/// ```
///
/// It is the URL that opens the connector, and behind `#` the store's name, the key, and
/// `evict=true` if whoever resolves it first is to remove the object. In Python,
/// `proxystore.store.utils.proxy_from_reference` makes a proxy of it, and
/// `proxystore.store.utils.get_reference` makes it of a proxy.
///
/// The URL holds what is needed to connect, a password too: [`to_text`](Self::to_text) is for
/// sending, `Debug` hides it.
///
/// ```
/// use proxystore::Reference;
///
/// let reference: Reference = "redis://:secret@cache:6379/0#store=results&key=k1".parse()?;
/// assert_eq!((reference.store(), reference.key().as_str()), ("results", "k1"));
/// assert!(!format!("{reference:?}").contains("secret"));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    store: String,
    url: String,
    key: Key,
    evict: bool,
}

impl Reference {
    /// A reference to an object of a store.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the URL is none.
    pub fn new(store: &str, url: &str, key: Key) -> Result<Self> {
        Url::parse(url)?;
        Ok(Self {
            store: store.to_owned(),
            url: url.to_owned(),
            key,
            evict: false,
        })
    }

    /// Whether the object is removed once it is resolved.
    #[must_use]
    pub fn with_evict(mut self, evict: bool) -> Self {
        self.evict = evict;
        self
    }

    /// The store's name.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The URL of its connector. It may hold a password; do not print it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether the object is removed once it is resolved.
    #[must_use]
    pub fn evict(&self) -> bool {
        self.evict
    }

    /// The one line of text, which [`parse`](str::parse) reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (store, key) = (
            percent::encode(&self.store),
            percent::encode(self.key.as_str()),
        );
        let evict = if self.evict { "&evict=true" } else { "" };
        format!("{}#store={store}&key={key}{evict}", self.url)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("no reference: {why}; one looks like `redis://host:port#store=name&key=…`"),
            )
        };
        let Some((url, options)) = text.split_once('#') else {
            return Err(invalid("nothing follows the URL"));
        };
        // The part behind `#` is written like the options of a URL.
        let mut options = Url::parse(&format!("reference://?{options}"))?;
        let store: Option<String> = options.take("store")?;
        let key: Option<String> = options.take("key")?;
        let evict = options.take("evict")?.unwrap_or(false);
        options.finish()?;
        let (Some(store), Some(key)) = (store, key) else {
            return Err(invalid("`store` or `key` is missing"));
        };
        Ok(Self::new(&store, url, Key::new(&key)?)?.with_evict(evict))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("store", &self.store)
            .field("url", &Url::parse(&self.url).ok())
            .field("key", &self.key)
            .field("evict", &self.evict)
            .finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let key = Key::new("a key & more").unwrap();
        let url = "redis://me:p%40ss@[::1]:7000/3?timeout=2";
        let reference = Reference::new("räume #1", url, key).unwrap();
        for reference in [reference.clone(), reference.with_evict(true)] {
            let text = reference.to_text();
            assert!(text.is_ascii(), "{text}");
            assert_eq!(text.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("redis://h", "#"),
            ("redis://h#store=s", "key"),
            ("redis://h#key=k", "store"),
            ("redis://h#store=s&key=a/b", "a/b"),
            ("redis://h#store=s&kye=k", "known are `store`, `key`"),
            ("h#store=s&key=k", "scheme"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
