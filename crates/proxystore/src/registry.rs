//! Opening connectors by URL.

use crate::config::{Url, nearest};
use crate::fork::ForkMutex;
use crate::{Connector, Error, ErrorKind, Result};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Makes a connector of a URL. It takes every option that it knows and finishes the URL, so that
/// unknown ones are noticed.
pub type Opener = fn(Url) -> Result<Arc<dyn Connector>>;

/// Which schemes there are, and who opens them.
///
/// ```
/// use proxystore::registry::Registry;
///
/// let registry = Registry::default();
/// let connector = registry.open("memory://")?;
/// assert_eq!(connector.kind(), "memory");
///
/// let error = registry.open("memroy://").unwrap_err();
/// assert!(error.to_string().contains("did you mean `memory://`?"));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    schemes: Vec<(&'static str, Opener)>,
}

impl Registry {
    /// No schemes.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schemes: Vec::new(),
        }
    }

    /// Adds a scheme.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if somebody else opens it already.
    pub fn register(&mut self, scheme: &'static str, opener: Opener) -> Result<()> {
        match self.schemes.iter().find(|(name, _)| *name == scheme) {
            Some((_, other)) if !std::ptr::fn_addr_eq(*other, opener) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("the scheme `{scheme}://` is registered already"),
            )),
            Some(_) => Ok(()),
            None => {
                self.schemes.push((scheme, opener));
                Ok(())
            }
        }
    }

    /// The names of all schemes, in order of registration.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.schemes.iter().map(|(name, _)| *name)
    }

    /// Opens a connector.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a URL with a mistake, and what opening may give.
    pub fn open(&self, url: &str) -> Result<Arc<dyn Connector>> {
        #[cfg_attr(not(feature = "seal"), allow(unused_mut))]
        let mut url = Url::parse(url)?;
        let found = self.schemes.iter().find(|(name, _)| *name == url.scheme());
        match found {
            #[cfg(feature = "seal")]
            Some((_, opener)) => {
                let config = crate::seal::SealConfig::of_url(&mut url)?;
                crate::seal::seal(opener(url)?, &config)
            }
            #[cfg(not(feature = "seal"))]
            Some((_, opener)) => opener(url),
            None => Err(self.unknown(url.scheme())),
        }
    }

    fn unknown(&self, scheme: &str) -> Error {
        let names: Vec<_> = self.schemes().collect();
        let known = format!("known are `{}://`", names.join("://`, `"));
        let missing = feature_of(scheme).filter(|feature| {
            let mut on = names.iter().filter_map(|name| feature_of(name));
            !on.any(|known| known == *feature)
        });
        let advice = match (missing, nearest(scheme, names)) {
            (Some(feature), _) => format!("it needs the crate's feature `{feature}`; "),
            (None, Some(name)) => format!("did you mean `{name}://`? "),
            (None, None) => String::new(),
        };
        Error::new(
            ErrorKind::InvalidConfig,
            format!("no connector opens `{scheme}://`; {advice}{known}"),
        )
    }
}

impl Default for Registry {
    /// The connectors of this crate, as far as their features are on.
    fn default() -> Self {
        Self {
            schemes: vec![
                #[cfg(feature = "memory")]
                ("memory", builtin::memory),
                #[cfg(feature = "file")]
                ("file", builtin::file),
                #[cfg(feature = "shared-memory")]
                ("shm", builtin::shared_memory),
                #[cfg(feature = "redis")]
                ("redis", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("rediss", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("redis+sentinel", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("rediss+sentinel", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("redis+cluster", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("rediss+cluster", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("redis+profile", crate::connectors::redis::open_url),
                #[cfg(feature = "redis")]
                ("redis+unix", crate::connectors::redis::open_url),
                #[cfg(feature = "object-stores")]
                ("s3", crate::connectors::object_store::open_url),
                #[cfg(feature = "object-stores")]
                ("gs", crate::connectors::object_store::open_url),
                #[cfg(feature = "object-stores")]
                ("az", crate::connectors::object_store::open_url),
                #[cfg(feature = "object-stores")]
                ("s3+profile", crate::connectors::object_store::open_url),
                #[cfg(feature = "object-stores")]
                ("gs+profile", crate::connectors::object_store::open_url),
                #[cfg(feature = "object-stores")]
                ("az+profile", crate::connectors::object_store::open_url),
            ],
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes()).finish()
    }
}

/// Which feature of this crate brings a scheme.
fn feature_of(scheme: &str) -> Option<&'static str> {
    match scheme.split_once('+').map_or(scheme, |(first, _)| first) {
        "memory" => Some("memory"),
        "file" => Some("file"),
        "shm" => Some("shared-memory"),
        "redis" | "rediss" => Some("redis"),
        "s3" | "gs" | "az" => Some("object-stores"),
        _ => None,
    }
}

fn global() -> &'static ForkMutex<Registry> {
    static GLOBAL: OnceLock<ForkMutex<Registry>> = OnceLock::new();
    GLOBAL.get_or_init(ForkMutex::default)
}

/// Opens a connector by the schemes of this crate and those [registered](register) since.
///
/// | URL | options |
/// |---|---|
/// | `memory://` | |
/// | `file:///directory` | `clear` |
/// | `shm://` | `dir`, `spill_dir`, `limit`, `session` |
/// | `redis://user:password@host:port/db` | `namespace`, `timeout`, `connect_timeout`, `bare_keys`, `clear` |
/// | `redis+cluster://user:password@host:port,host:port` | `namespace`, `timeout`, `connect_timeout`, `replicas`, `clear` |
/// | `redis+unix:///socket` | the same as `redis`, and `db` |
/// | `s3://bucket/prefix`, `gs://…`, `az://…` | `namespace`, `endpoint`, `region`, `timeout`, `retries`, `leases`, `clear` and others |
///
/// With the feature `seal` each of them takes `compression` (`auto`, `zstd`, `lz4`), `encryption` and
/// `signing` (`env:NAME` or `file:/path`, which name a key).
///
/// ```
/// let connector = proxystore::open("memory://")?;
/// # Ok::<(), proxystore::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] for a URL with a mistake, naming it; what opening may give.
pub fn open(url: &str) -> Result<Arc<dyn Connector>> {
    let registry = global().lock().clone();
    registry.open(url)
}

/// The names of all schemes that [`open`] knows: those of this crate's connectors, as far as their
/// features are on, and those [registered](register) since.
///
/// ```
/// assert!(proxystore::registry::schemes().contains(&"memory"));
/// ```
#[must_use]
pub fn schemes() -> Vec<&'static str> {
    global().lock().schemes().collect()
}

/// Adds a scheme for the whole process. Doing it twice with one opener does nothing.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if somebody else opens it already.
pub fn register(scheme: &'static str, opener: Opener) -> Result<()> {
    global().lock().register(scheme, opener)
}

mod builtin {
    #[allow(unused_imports)] // each is used by some feature
    use super::{Arc, Connector, Result, Url};

    #[cfg(feature = "memory")]
    pub(super) fn memory(url: Url) -> Result<Arc<dyn Connector>> {
        url.refuse_host()?;
        if !url.path().is_empty() {
            return Err(url.invalid("it takes no path"));
        }
        url.finish()?;
        Ok(Arc::new(crate::connectors::memory::MemoryConnector::new()))
    }

    #[cfg(feature = "file")]
    pub(super) fn file(mut url: Url) -> Result<Arc<dyn Connector>> {
        use crate::connectors::file::{FileConfig, FileConnector};
        url.refuse_host()?;
        if url.path().len() < 2 {
            return Err(url.invalid("name a directory: `file:///absolute/path`"));
        }
        let mut config = FileConfig::new(url.path());
        if let Some(clear) = url.take("clear")? {
            config.clear_on_close = clear;
        }
        url.finish()?;
        Ok(Arc::new(FileConnector::open(config)?))
    }

    #[cfg(feature = "shared-memory")]
    pub(super) fn shared_memory(mut url: Url) -> Result<Arc<dyn Connector>> {
        use crate::config::Bytes;
        use crate::connectors::shared_memory::{
            Session, SharedMemoryConfig, SharedMemoryConnector,
        };
        url.refuse_host()?;
        if !url.path().is_empty() {
            return Err(url.invalid("it takes no path; for another place use the option `dir`"));
        }
        let config = SharedMemoryConfig {
            dir: url.take("dir")?,
            spill_dir: url.take("spill_dir")?,
            limit: url.take::<Bytes>("limit")?.map(|limit| limit.0),
            session: url.take("session")?,
        };
        let place = url.take("place")?.zip(url.take("origin")?);
        if let (Some((place, origin)), Some(name), Some(dir)) =
            (place, &config.session, &config.dir)
        {
            // A place that another process made; see `Connector::url`.
            url.finish()?;
            let session = Session {
                name: name.clone(),
                place,
                dir: dir.clone(),
                spill_dir: config.spill_dir,
                origin,
            };
            return Ok(Arc::new(SharedMemoryConnector::join(&session)?));
        }
        url.finish()?;
        Ok(Arc::new(SharedMemoryConnector::create(config)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: Url) -> Result<Arc<dyn Connector>> {
        Err(Error::new(ErrorKind::Unsupported, "a test's own"))
    }

    fn other(url: Url) -> Result<Arc<dyn Connector>> {
        Err(url.invalid("another"))
    }

    #[test]
    fn unknown_schemes_list_the_known_ones() {
        let error = open("s4://bucket").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let text = error.to_string();
        for scheme in Registry::default().schemes() {
            assert!(text.contains(&format!("`{scheme}://`")), "{text}");
        }
    }

    #[test]
    fn a_scheme_without_its_feature_names_it() {
        let none = Registry::empty();
        for scheme in Registry::default().schemes() {
            let text = none.open(&format!("{scheme}://x")).unwrap_err().to_string();
            let feature = feature_of(scheme).unwrap();
            assert!(text.contains(&format!("feature `{feature}`")), "{text}");
        }
        #[cfg(feature = "redis")]
        {
            let error = Registry::default().open("redis+unxi://x").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("did you mean `redis+unix://`?"), "{text}");
        }
    }

    #[test]
    fn a_scheme_can_be_added_once() {
        register("mine", refuse).unwrap();
        register("mine", refuse).unwrap();
        assert_eq!(open("mine://x").unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(register("mine", other).is_err());
    }

    #[test]
    fn parts_without_meaning_are_refused() {
        for url in [
            "memory://host",
            "memory:///path",
            "memory://?x=1",
            "file://",
            "file:///",
            "file://host/path",
            "file:///tmp/x?clera=1",
            "shm://host",
            "shm://?limit=lots",
        ] {
            let error = open(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
        }
    }
}
