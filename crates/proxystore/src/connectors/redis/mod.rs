//! Objects in a Redis server, reached from every host.
//!
//! Pieces of an object are sent as they lie, and an object is received into one aligned buffer;
//! neither is joined or copied on the way. Objects above a megabyte are cut into chunks, so that
//! Redis's limit of 512 MB does not hold for them; a reader sees all of an object or none.

mod batch;
mod chunks;
mod client;
mod cluster;
mod config;
mod connection;
mod keyspace;
mod lease;
#[cfg(feature = "stream")]
pub(crate) mod messages;
mod pool;
mod protocol;
mod removal;
mod sentinel;
mod stream;
mod tls;
mod url;
mod waiting;

pub use cluster::ClusterConfig;
pub use config::RedisConfig;
pub use sentinel::SentinelConfig;
pub use tls::TlsConfig;

use crate::config::Url;
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use client::Client;
use connection::{Connection, Failure};
use keyspace::Keyspace;
use protocol::Commands;
use removal::Debris;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keeps objects in a Redis server, 4.0 or later (or Valkey).
///
/// Connections are pooled and made anew after a fork; a broken one is replaced once per call.
/// Objects are put under `namespace:key`; clearing removes the keys of the namespace and no others.
pub struct RedisConnector {
    client: Client,
    keyspace: Keyspace,
    closed: AtomicBool,
}

impl RedisConnector {
    /// A connector of a server that answers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a field is wrong, [`ErrorKind::Unreachable`] if the server
    /// does not answer in time, [`ErrorKind::PermissionDenied`] if it wants another password.
    pub fn connect(config: RedisConfig) -> Result<Self> {
        let connector = Self::new(config)?;
        connector.ping()?;
        Ok(connector)
    }

    /// A connector that connects when it is first used.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a field is wrong.
    pub fn new(config: RedisConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            keyspace: Keyspace::new(config.prefix(), config.cluster.is_some()),
            client: Client::new(config),
            closed: AtomicBool::new(false),
        })
    }

    /// The configuration that it was made with.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        self.client.config()
    }

    /// Asks the server whether it is there.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn ping(&self) -> Result<()> {
        self.open()?.ping()
    }

    fn open(&self) -> Result<&Client> {
        if self.closed.load(Ordering::Relaxed) {
            let message = "the connector was closed; make a new one";
            return Err(Error::new(ErrorKind::Closed, message).with_connector("redis"));
        }
        Ok(&self.client)
    }

    /// The server's keys to look for: ours, and the one that ProxyStore 1.x would have used.
    fn names(&self, key: &Key) -> Vec<Vec<u8>> {
        let mut names = vec![self.keyspace.name(key)];
        if self.config().bare_keys {
            names.push(key.as_str().as_bytes().to_vec());
        }
        names
    }

    /// The values under server's keys.
    fn read_all(&self, names: &[Vec<u8>]) -> Result<Vec<Option<Blob>>> {
        let mut values: Vec<Option<Blob>> = Vec::new();
        values.resize_with(names.len(), || None);
        self.open()?.call_each(names, |connection, places| {
            let some: Vec<_> = places.iter().map(|at| &names[*at][..]).collect();
            let found = self.keyspace.get_all(connection, &some)?;
            for (at, value) in places.iter().zip(found) {
                values[*at] = value.map(Blob::new);
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Waits until enough replicas have what was written over this connection. If they do not get
    /// it in time, fresh objects are removed.
    fn replicated<N: AsRef<[u8]>>(
        &self,
        connection: &mut Connection,
        fresh: &[N],
    ) -> Result<(), Failure> {
        let wanted = self.config().replicas;
        if wanted == 0 {
            return Ok(());
        }
        // Before the connection is taken for dead.
        let limit = (self.config().timeout / 2).as_millis().max(1).to_string();
        let count = wanted.to_string();
        connection.send(&Commands::of(&[
            b"WAIT",
            count.as_bytes(),
            limit.as_bytes(),
        ]))?;
        let got = connection.integer()?;
        if got >= i64::from(wanted) {
            return Ok(());
        }
        let mut debris = Debris::default();
        let _ = self.keyspace.remove(connection, fresh, &mut debris);
        Err(Failure::Server(format!(
            "NOREPLICAS {got} of the {wanted} replicas that were asked for have the object"
        )))
    }
}

/// Opens `redis://…` and its like.
pub(crate) fn open_url(url: Url) -> Result<Arc<dyn Connector>> {
    let connector = RedisConnector::connect(RedisConfig::from_url(url)?)?;
    Ok(Arc::new(connector))
}

impl Connector for RedisConnector {
    fn kind(&self) -> &'static str {
        "redis"
    }

    /// None if it would hold a password that the configuration does not allow to be sent.
    fn url(&self) -> Option<String> {
        self.config().reference()
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            batch: true,
            expiry: true,
            notify: true,
            cross_process: true,
            cross_host: true,
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = self.new_key();
        let name = self.keyspace.name(&key);
        let mut debris = Debris::default();
        let put = self.open()?.call(&name, |connection| {
            self.keyspace
                .set_fresh(connection, &name, payload, &mut debris)?;
            self.replicated(connection, &[&name])
        });
        put.map_err(|error| error.with_key(&key))?;
        Ok(key)
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let keys: Vec<_> = payloads.iter().map(|_| self.new_key()).collect();
        self.set_batch(&keys, payloads)?;
        Ok(keys)
    }

    fn set_batch(&self, keys: &[Key], payloads: &[Payload<'_>]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = keys.iter().map(|key| self.keyspace.name(key)).collect();
        let mut debris = Debris::default();
        let put = self.open()?.call_each(&names, |connection, places| {
            let object = |at: &usize| (&names[*at][..], &payloads[*at]);
            let objects: Vec<_> = places.iter().map(object).collect();
            self.keyspace.put_all(connection, &objects, &mut debris)?;
            let names: Vec<_> = objects.iter().map(|(name, _)| name).collect();
            self.replicated(connection, &names)
        });
        if put.is_err() && self.config().cluster.is_some() {
            // Other servers may have their part.
            let _ = self.evict_batch(keys);
        }
        put
    }

    fn new_key(&self) -> Key {
        Key::fresh()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let name = self.keyspace.name(key);
        let mut debris = Debris::default();
        let set = self.open()?.call(&name, |connection| {
            self.keyspace
                .replace(connection, &name, payload, &mut debris)?;
            self.replicated::<&[u8]>(connection, &[])
        });
        set.map_err(|error| error.with_key(key))
    }

    fn get(&self, key: &Key, _access: Access) -> Result<Option<Blob>> {
        for name in self.names(key) {
            let read = |connection: &mut Connection| self.keyspace.read(connection, &name);
            let found = self.open()?.call(&name, read);
            if let Some(buffer) = found.map_err(|error| error.with_key(key))? {
                return Ok(Some(Blob::new(buffer)));
            }
        }
        Ok(None)
    }

    fn get_batch(&self, keys: &[Key], _access: Access) -> Result<Vec<Option<Blob>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = keys.iter().map(|key| self.keyspace.name(key)).collect();
        let mut values = self.read_all(&names)?;
        if self.config().bare_keys {
            let missing: Vec<_> = (0..keys.len()).filter(|at| values[*at].is_none()).collect();
            let bare: Vec<_> = missing
                .iter()
                .map(|at| keys[*at].as_str().as_bytes().to_vec())
                .collect();
            for (at, value) in missing.into_iter().zip(self.read_all(&bare)?) {
                values[at] = value;
            }
        }
        Ok(values)
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        let names = self.names(key);
        let found = self.open()?.call(&names[0], |connection| {
            let mut arguments: Vec<&[u8]> = vec![b"EXISTS"];
            arguments.extend(names.iter().map(Vec::as_slice));
            connection.send(&Commands::of(&arguments))?;
            Ok(connection.integer()? > 0)
        });
        found.map_err(|error| error.with_key(key))
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        self.wait_for(key, timeout)
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let names = self.names(key);
        let mut debris = Debris::default();
        let removed = self.open()?.call(&names[0], |connection| {
            self.keyspace.remove(connection, &names, &mut debris)
        });
        removed.map_err(|error| error.with_key(key))
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        let names: Vec<_> = keys.iter().flat_map(|key| self.names(key)).collect();
        let mut debris = Debris::default();
        self.open()?.call_each(&names, |connection, places| {
            let some: Vec<_> = places.iter().map(|at| &names[*at]).collect();
            self.keyspace.remove(connection, &some, &mut debris)
        })
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        let names: Vec<_> = keys.iter().map(|key| self.keyspace.name(key)).collect();
        let mut touched = vec![false; names.len()];
        self.open()?.call_each(&names, |connection, places| {
            let some: Vec<_> = places.iter().map(|at| &names[*at][..]).collect();
            let are_there = self.keyspace.touch(connection, &some, lease)?;
            for (at, is_there) in places.iter().zip(are_there) {
                touched[*at] = is_there;
            }
            Ok(())
        })?;
        Ok(touched)
    }

    fn keys(&self) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        let list = |connection: &mut Connection| {
            self.keyspace.keys(connection, &mut keys)?;
            Ok(Vec::new())
        };
        self.open()?.call_all(list, |_, _| Ok(()))?;
        // A server may name one more than once.
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        let cleared = if clear {
            self.client.call_all(
                |connection| self.keyspace.clear(connection),
                |connection, name| self.keyspace.clear_one(connection, name),
            )
        } else {
            Ok(())
        };
        self.client.close();
        cleared
    }

    fn is_quick(&self, _len: usize) -> bool {
        false
    }
}

impl fmt::Debug for RedisConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnector")
            .field("config", self.config())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RedisConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.config().place())
    }
}
