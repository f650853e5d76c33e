//! Several connectors in one: each object goes where its size and tags send it.

use crate::routing::{Policy, host_name, order};
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Between the name of a connector and its key, in our keys.
const MARK: char = '~';
/// Longest name of a connector: most of a key's 255 bytes are left to it.
const LONGEST_NAME: usize = 64;

/// Routes objects to several connectors, by their [policies](Policy).
///
/// Of the connectors that take an object, the one with the highest priority gets it. A key names
/// its connector, so what reads needs no policy. Stores over it have no URL: register them, by the
/// same configuration, in every process.
///
/// ```
/// use proxystore::connectors::memory::MemoryConnector;
/// use proxystore::connectors::multi::MultiConnector;
/// use proxystore::routing::Policy;
/// use proxystore::{Connector, ConnectorExt};
/// use std::sync::Arc;
///
/// let small = Policy::default().priority(1).max_size(100);
/// let connector = MultiConnector::new()
///     .with("small", small, Arc::new(MemoryConnector::new()))?
///     .with_url("large", Policy::default(), "memory://")?;
/// let key = connector.put_bytes(b"x")?;
/// assert_eq!(connector.name_of(&key), Some("small"));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MultiConnector {
    parts: Vec<Part>,
    /// Places of the parts, in the order in which they are asked.
    order: Vec<usize>,
}

#[derive(Debug)]
struct Part {
    name: String,
    policy: Policy,
    /// `None` if this host does not have it.
    connector: Option<Arc<dyn Connector>>,
}

/// The place of a connector, the connector, and a key of it.
type Inner<'a> = (usize, &'a Arc<dyn Connector>, Key);

impl MultiConnector {
    /// One that takes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connector under a name, which its keys carry.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the name is empty, taken, longer than 64 bytes, or has a `~`
    /// or `/` in it.
    pub fn with(self, name: &str, policy: Policy, connector: Arc<dyn Connector>) -> Result<Self> {
        self.add(name, policy, Some(connector))
    }

    /// Adds the connector of a URL. On hosts that the policy leaves out it stays dormant: it is not
    /// opened, and its keys are errors there.
    ///
    /// # Errors
    /// As [`with`](Self::with), and what opening may give.
    pub fn with_url(self, name: &str, policy: Policy, url: &str) -> Result<Self> {
        let here = policy.has_host(&host_name());
        let connector = here.then(|| crate::open(url)).transpose()?;
        self.add(name, policy, connector)
    }

    fn add(
        mut self,
        name: &str,
        policy: Policy,
        connector: Option<Arc<dyn Connector>>,
    ) -> Result<Self> {
        let taken = self.parts.iter().any(|part| part.name == name);
        if taken || name.len() > LONGEST_NAME || name.contains(MARK) || Key::new(name).is_err() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "{name:?} cannot name a connector: give each a name of its own, of 1 to \
                     {LONGEST_NAME} bytes without `{MARK}` or `/`"
                ),
            )
            .with_connector("multi"));
        }
        self.parts.push(Part {
            name: name.to_owned(),
            policy,
            connector,
        });
        self.order = order(self.parts.iter().map(|part| part.policy.priority));
        Ok(self)
    }

    /// The name of the connector that a key is of, if it is one of ours.
    #[must_use]
    pub fn name_of(&self, key: &Key) -> Option<&str> {
        let (name, _) = key.as_str().split_once(MARK)?;
        let part = self.parts.iter().find(|part| part.name == name)?;
        Some(&part.name)
    }

    /// Stores an object where its size and tags send it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if no connector takes it; what its connector may give.
    pub fn put_tagged(
        &self,
        payload: &Payload<'_>,
        subset_tags: &[&str],
        superset_tags: &[&str],
    ) -> Result<Key> {
        let size = payload.len() as u64;
        let (part, connector) = self.route(Some(size), subset_tags, superset_tags)?;
        outer(part, &connector.put(payload)?)
    }

    fn route(
        &self,
        size: Option<u64>,
        subset_tags: &[&str],
        superset_tags: &[&str],
    ) -> Result<(&Part, &Arc<dyn Connector>)> {
        let parts = self.order.iter().map(|place| &self.parts[*place]);
        let found = parts
            .filter_map(|part| Some((part, part.connector.as_ref()?)))
            .find(|(part, _)| {
                part.policy
                    .takes(size, Some(subset_tags), Some(superset_tags))
            });
        found.ok_or_else(|| {
            let names: Vec<_> = self.parts.iter().map(|part| part.name.as_str()).collect();
            let size = size.map_or_else(String::new, |size| format!(" of {size} bytes"));
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "no connector takes this object{size} with the tags {subset_tags:?} and \
                     {superset_tags:?}: see the policies of {}",
                    names.join(", ")
                ),
            )
            .with_connector("multi")
        })
    }

    /// The connector of a key, and the key there. One that names none of them is of the connector
    /// that gets what is known the least of; `None` if there is no such connector.
    fn inner(&self, key: &Key) -> Result<Option<Inner<'_>>> {
        let named = key.as_str().split_once(MARK).and_then(|(name, rest)| {
            let place = self.parts.iter().position(|part| part.name == name)?;
            Some((place, rest))
        });
        let Some((place, rest)) = named else {
            let Ok((part, connector)) = self.route(None, &[], &[]) else {
                return Ok(None);
            };
            let place = self.parts.iter().position(|one| one.name == part.name);
            return Ok(place.map(|place| (place, connector, key.clone())));
        };
        match &self.parts[place].connector {
            Some(connector) => Ok(Some((place, connector, Key::new(rest)?))),
            None => Err(Error::new(
                ErrorKind::WrongHost,
                format!(
                    "the connector {:?} is dormant: its policy leaves this host out",
                    self.parts[place].name
                ),
            )
            .with_connector("multi")
            .with_key(key)),
        }
    }

    fn live(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.parts.iter().filter_map(|part| part.connector.as_ref())
    }
}

fn outer(part: &Part, key: &Key) -> Result<Key> {
    Key::new(&format!("{}{MARK}{key}", part.name))
}

impl Connector for MultiConnector {
    fn kind(&self) -> &'static str {
        "multi"
    }

    fn capability(&self) -> Capability {
        let all = |can: fn(&Capability) -> bool| {
            self.live().all(|connector| can(&connector.capability()))
        };
        Capability {
            deferred_set: all(|can| can.deferred_set),
            batch: all(|can| can.batch),
            notify: all(|can| can.notify),
            cross_process: all(|can| can.cross_process),
            cross_host: all(|can| can.cross_host),
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        self.put_tagged(payload, &[], &[])
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        // All are routed before the first is stored; each connector gets one batch.
        let mut groups: Vec<(&Part, &Arc<dyn Connector>, Vec<usize>)> = Vec::new();
        for (place, payload) in payloads.iter().enumerate() {
            let (part, connector) = self.route(Some(payload.len() as u64), &[], &[])?;
            match groups.iter_mut().find(|(one, ..)| one.name == part.name) {
                Some((.., places)) => places.push(place),
                None => groups.push((part, connector, vec![place])),
            }
        }
        let mut keys: Vec<Option<Key>> = vec![None; payloads.len()];
        for (part, connector, places) in groups {
            let batch: Vec<_> = places
                .iter()
                .map(|place| payloads[*place].clone())
                .collect();
            let made = connector.put_batch(&batch).and_then(|made| {
                made.iter()
                    .map(|key| outer(part, key))
                    .collect::<Result<Vec<_>>>()
            });
            match made {
                Ok(made) => {
                    for (place, key) in places.into_iter().zip(made) {
                        keys[place] = Some(key);
                    }
                }
                Err(error) => {
                    let put: Vec<_> = keys.into_iter().flatten().collect();
                    // The failure says more than a second one from here.
                    let _ = self.evict_batch(&put);
                    return Err(error);
                }
            }
        }
        Ok(keys.into_iter().flatten().collect())
    }

    fn new_key(&self) -> Key {
        let routed = self.route(None, &[], &[]);
        let made = routed.and_then(|(part, connector)| outer(part, &connector.new_key()));
        // A key of nobody: `set` says so.
        made.unwrap_or_else(|_| Key::fresh())
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        match self.inner(key)? {
            Some((_, connector, inner)) => connector.set(&inner, payload),
            None => Err(Error::new(
                ErrorKind::InvalidKey,
                "no connector takes objects of unknown size under a key of another's making",
            )
            .with_connector("multi")
            .with_key(key)),
        }
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        match self.inner(key)? {
            Some((_, connector, inner)) => connector.get(&inner, access),
            None => Ok(None),
        }
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        let mut found = vec![None; keys.len()];
        let mut groups: Vec<(Vec<usize>, Vec<Key>)> = self
            .parts
            .iter()
            .map(|_| (Vec::new(), Vec::new()))
            .collect();
        for (at, key) in keys.iter().enumerate() {
            if let Some((place, _, inner)) = self.inner(key)? {
                groups[place].0.push(at);
                groups[place].1.push(inner);
            }
        }
        for (part, (places, inner)) in self.parts.iter().zip(groups) {
            if let Some(connector) = &part.connector
                && !inner.is_empty()
            {
                let blobs = connector.get_batch(&inner, access)?;
                for (at, blob) in places.into_iter().zip(blobs) {
                    found[at] = blob;
                }
            }
        }
        Ok(found)
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        match self.inner(key)? {
            Some((_, connector, inner)) => connector.exists(&inner),
            None => Ok(false),
        }
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        match self.inner(key)? {
            Some((_, connector, inner)) => connector.wait(&inner, timeout),
            None => crate::connector::ask_again(timeout, || Ok(false)),
        }
    }

    fn evict(&self, key: &Key) -> Result<()> {
        match self.inner(key)? {
            Some((_, connector, inner)) => connector.evict(&inner),
            None => Ok(()),
        }
    }

    fn keys(&self) -> Result<Vec<Key>> {
        let mut all = Vec::new();
        for part in &self.parts {
            if let Some(connector) = &part.connector {
                for key in connector.keys()? {
                    all.push(outer(part, &key)?);
                }
            }
        }
        Ok(all)
    }

    fn close(&self, clear: bool) -> Result<()> {
        // Every one is closed; the first failure is told.
        self.live()
            .map(|connector| connector.close(clear))
            .fold(Ok(()), Result::and)
    }

    fn is_quick(&self, len: usize) -> bool {
        self.live().all(|connector| connector.is_quick(len))
    }
}

impl fmt::Display for MultiConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts.iter().map(|part| part.name.as_str()).collect();
        write!(f, "multi({})", names.join(", "))
    }
}
