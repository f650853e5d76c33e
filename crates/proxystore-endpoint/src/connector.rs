//! Objects at the endpoint of this site, and at its peers.

use crate::client::{Client, Running, home_dir};
use crate::wire::Request;
use proxystore::config::{Url, percent_encode};
use proxystore::{
    Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result, registry,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which endpoint a program uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// UUIDs, public keys or names: the first that runs at this site is the home endpoint. None
    /// stands for the only one that is configured here.
    pub endpoints: Vec<String>,
    /// Where endpoints are configured; [`home_dir`] if not given.
    pub dir: Option<PathBuf>,
}

impl EndpointConfig {
    /// The first of these endpoints that runs at this site, by UUID, public key or name.
    ///
    /// ```
    /// use proxystore_endpoint::EndpointConfig;
    ///
    /// let config = EndpointConfig::of(["left", "right"]).dir("/shared/endpoints");
    /// assert_eq!(config.endpoints, ["left", "right"]);
    /// ```
    #[must_use]
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            endpoints: names.into_iter().map(Into::into).collect(),
            dir: None,
        }
    }

    /// Sets where endpoints are configured.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Reads `endpoint://name,name` and the option `dir`.
    ///
    /// ```
    /// use proxystore::config::Url;
    /// use proxystore_endpoint::EndpointConfig;
    ///
    /// let config = EndpointConfig::from_url(Url::parse("endpoint://left,right?dir=/shared")?)?;
    /// assert_eq!(config.endpoints, ["left", "right"]);
    /// # Ok::<(), proxystore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with what is wrong.
    pub fn from_url(mut url: Url) -> Result<Self> {
        if url.port().is_some() || url.username().is_some() || url.path().len() > 1 {
            return Err(url.invalid(
                "name endpoints by UUID or name, with commas between: `endpoint://left,right`",
            ));
        }
        let names = url.host().unwrap_or_default().split(',');
        let config = Self {
            endpoints: names
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            dir: url.take("dir")?,
        };
        url.finish()?;
        Ok(config)
    }

    fn to_url(&self) -> Option<String> {
        let names: Vec<_> = self
            .endpoints
            .iter()
            .map(|name| percent_encode(name))
            .collect();
        let mut url = format!("endpoint://{}", names.join(","));
        if let Some(dir) = &self.dir {
            url += "?dir=";
            url += &percent_encode(dir.to_str()?);
        }
        Some(url)
    }
}

/// Keeps objects at the endpoint of this site. A key says which endpoint holds its object; that of
/// another site is fetched from there by the endpoint of this one.
///
/// A key is the object's name, `@` and the endpoint's UUID. Objects above a megabyte are not sent:
/// they lie in memory that the endpoint shares with its clients, and a get maps them copy-on-write.
pub struct EndpointConnector {
    config: EndpointConfig,
    client: Client,
    closed: AtomicBool,
}

impl EndpointConnector {
    /// A connector of the first of these endpoints that runs at this site.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if none is configured here, [`ErrorKind::Unreachable`] if none
    /// runs, [`ErrorKind::PermissionDenied`] if it is somebody else's.
    pub fn open(config: EndpointConfig) -> Result<Self> {
        let home = config.dir.clone().unwrap_or_else(home_dir);
        Ok(Self {
            client: Running::find(&home, &config.endpoints)?,
            config,
            closed: AtomicBool::new(false),
        })
    }

    /// The endpoint of this site.
    #[must_use]
    pub fn endpoint(&self) -> &Running {
        self.client.running()
    }

    /// The peer and the name that a key stands for. No peer is the endpoint of this site.
    fn split<'a>(&self, key: &'a Key) -> (&'a str, &'a str) {
        match split_key(key.as_str()) {
            Some((name, endpoint)) if endpoint == self.endpoint().uuid => ("", name),
            Some((name, endpoint)) => (endpoint, name),
            // A name that somebody else chose: it is kept here.
            None => ("", key.as_str()),
        }
    }

    fn check(&self) -> Result<&Client> {
        if self.closed.load(Ordering::Relaxed) {
            let message = "the connector was closed; make a new one";
            return Err(Error::new(ErrorKind::Closed, message).with_connector("endpoint"));
        }
        Ok(&self.client)
    }
}

/// A key's name and its endpoint's UUID, if it has one.
///
/// ```
/// use proxystore_endpoint::split_key;
///
/// let uuid = "5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55";
/// assert_eq!(split_key(&format!("name@{uuid}")), Some(("name", uuid)));
/// assert_eq!(split_key("name"), None);
/// ```
#[must_use]
pub fn split_key(key: &str) -> Option<(&str, &str)> {
    let (name, endpoint) = key.rsplit_once('@')?;
    let is_uuid = endpoint.len() == 36
        && endpoint.bytes().enumerate().all(|(at, byte)| {
            if [8, 13, 18, 23].contains(&at) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        });
    (is_uuid && !name.is_empty()).then_some((name, endpoint))
}

/// Makes `endpoint://…` a URL of [`proxystore::open`]. Doing it twice does nothing.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if somebody else opens that scheme.
pub fn register() -> Result<()> {
    registry::register("endpoint", open_url)
}

fn open_url(url: Url) -> Result<Arc<dyn Connector>> {
    let config = EndpointConfig::from_url(url)?;
    Ok(Arc::new(EndpointConnector::open(config)?))
}

impl Connector for EndpointConnector {
    fn kind(&self) -> &'static str {
        "endpoint"
    }

    fn url(&self) -> Option<String> {
        self.config.to_url()
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::default();
        capability.deferred_set = true;
        capability.batch = true;
        capability.cross_process = true;
        capability.cross_host = true;
        capability.max_len = self.client.limit().ok().flatten();
        capability
    }

    fn new_key(&self) -> Key {
        let fresh = Key::fresh();
        let name = format!("{}@{}", fresh.as_str(), self.endpoint().uuid);
        // Without a sound UUID the bare name is kept here all the same.
        Key::new(&name).unwrap_or(fresh)
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let keys: Vec<_> = payloads.iter().map(|_| self.new_key()).collect();
        self.set_batch(&keys, payloads)?;
        Ok(keys)
    }

    fn set_batch(&self, keys: &[Key], payloads: &[Payload<'_>]) -> Result<()> {
        let client = self.check()?;
        let objects: Vec<_> = keys
            .iter()
            .zip(payloads)
            .map(|(key, payload)| (self.split(key).1, payload))
            .collect();
        if let Err(error) = client.put_batch("", &objects) {
            // The failure says more than a second one from here.
            let _ = self.evict_batch(keys);
            return Err(error);
        }
        Ok(())
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let (peer, name) = self.split(key);
        let put = self.check()?.put(peer, name, payload);
        put.map_err(|error| error.with_key(key))
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        let (peer, name) = self.split(key);
        let found = self.check()?.get(peer, name, access);
        found.map_err(|error| error.with_key(key))
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        let names: Vec<_> = keys.iter().map(|key| self.split(key)).collect();
        self.check()?.get_batch(&names, access)
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        let (peer, name) = self.split(key);
        let found = self.check()?.exists(peer, name);
        found.map_err(|error| error.with_key(key))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let evicted = self.check()?.evict(&[self.split(key)]);
        evicted.map_err(|error| error.with_key(key))
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        let names: Vec<_> = keys.iter().map(|key| self.split(key)).collect();
        self.check()?.evict(&names)
    }

    fn keys(&self) -> Result<Vec<Key>> {
        let names = self.check()?.keys()?;
        let uuid = &self.endpoint().uuid;
        names
            .iter()
            .map(|name| {
                if Key::is_fresh_form(name) {
                    Key::new(&format!("{name}@{uuid}"))
                } else {
                    Key::new(name)
                }
            })
            .collect()
    }

    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        let cleared = if clear {
            self.client.order(&Request::Clear)
        } else {
            Ok(())
        };
        self.client.close();
        cleared
    }
}

impl fmt::Debug for EndpointConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConnector")
            .field("config", &self.config)
            .field("endpoint", &self.endpoint().uuid)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EndpointConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint://{}", self.endpoint().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_where_their_objects_are() {
        let uuid = "5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55";
        let key = format!("a@b@{uuid}");
        assert_eq!(split_key(&key), Some(("a@b", uuid)));
        for other in [
            "name",
            "me@home",
            &format!("@{uuid}"),
            &uuid.replace('-', "x"),
        ] {
            assert_eq!(split_key(other), None, "{other}");
        }
    }

    #[test]
    fn urls_go_both_ways() {
        let read = |text: &str| EndpointConfig::from_url(Url::parse(text).unwrap());
        for text in [
            "endpoint://",
            "endpoint://left",
            "endpoint://a,b?dir=/x%20y",
        ] {
            let config = read(text).unwrap();
            assert_eq!(read(&config.to_url().unwrap()).unwrap(), config);
        }
        for wrong in ["endpoint://a:1", "endpoint://a/b", "endpoint://a?dri=x"] {
            assert_eq!(read(wrong).unwrap_err().kind(), ErrorKind::InvalidConfig);
        }
    }
}
