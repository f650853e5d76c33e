//! Objects in a bucket of S3 and what speaks its protocol (MinIO, Ceph, R2), of Google Cloud
//! Storage, or of Azure, reached from every host.
//!
//! Large objects go in parts, side by side, and come in ranges, side by side, into one aligned
//! buffer. A reader sees all of an object or none.

mod aws_profile;
mod config;
mod engine;
mod failure;
mod fetch;
mod http;
mod keyspace;
mod lease;
mod provider;
mod put;
mod url;

pub use config::{ObjectStoreConfig, Provider};

use crate::config::Url;
use crate::{
    Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result, interrupt,
};
use engine::{Engine, Line};
use failure::Failure;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use keyspace::Keyspace;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The connector's name in errors.
const KIND: &str = "object-store";
/// Objects of a batch on their way at once, and bytes of those that are put: each is copied on its
/// way, and large ones have parts enough to fill the line.
const AT_ONCE: usize = 16;
const PUT_AT_ONCE: usize = 64 << 20;
/// Shortest and longest time between two questions whether an object is there: each is paid for.
const ASKED_EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often [`Connector::sweep`] looks again where there was much to remove.
const ROUNDS: usize = 100;

/// Keeps objects in a bucket, under `prefix/namespace/`.
///
/// Connections are pooled, and made anew after a fork. Requests that the service is too busy for,
/// and those whose connection drops, are repeated.
pub struct ObjectStoreConnector {
    engine: Engine,
    keyspace: Keyspace,
    closed: AtomicBool,
}

impl ObjectStoreConnector {
    /// A connector of a bucket that answers. Objects whose lease has ended are removed meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a field is wrong or there is no such bucket,
    /// [`ErrorKind::Unreachable`] if the service does not answer,
    /// [`ErrorKind::PermissionDenied`] if it refuses the credentials.
    pub fn connect(config: ObjectStoreConfig) -> Result<Self> {
        let connector = Self::new(config)?;
        let keyspace = &connector.keyspace;
        let due = connector.call(|line| async move { lease::first_due(&line, keyspace).await })?;
        if !due.is_empty() && connector.config().leases {
            let keyspace = keyspace.clone();
            connector.engine.spawn(|line| async move {
                // The next opener tries again.
                let _ = lease::sweep(&line, &keyspace, due).await;
            });
        }
        Ok(connector)
    }

    /// A connector that connects when it is first used.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a field is wrong.
    pub fn new(config: ObjectStoreConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            keyspace: Keyspace::new(&config),
            engine: Engine::new(config),
            closed: AtomicBool::new(false),
        })
    }

    /// The configuration that it was made with.
    #[must_use]
    pub fn config(&self) -> &ObjectStoreConfig {
        self.engine.config()
    }

    fn call<T, F>(&self, work: impl FnOnce(Line) -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T, Failure>>,
    {
        if self.closed.load(Ordering::Relaxed) {
            let message = "the connector was closed; make a new one";
            return Err(Error::new(ErrorKind::Closed, message).with_connector(KIND));
        }
        self.engine.run(work)
    }

    fn leases(&self) -> bool {
        self.config().leases
    }

    /// An object under a key that nobody knows yet.
    async fn put_fresh(
        &self,
        line: &Line,
        key: &Key,
        payload: &Payload<'_>,
    ) -> Result<(), Failure> {
        if let Some(lease) = payload.lease().filter(|_| self.leases()) {
            lease::grant(line, &self.keyspace, key, lease).await?;
        }
        put::put(line, &self.keyspace.object(key), payload).await
    }

    /// An object under a key that may have one, with a lease or without.
    async fn replace(&self, line: &Line, key: &Key, payload: &Payload<'_>) -> Result<(), Failure> {
        self.put_fresh(line, key, payload).await?;
        if payload.lease().is_none() && self.leases() {
            // Of what was there before, whose lease is not this one's.
            lease::remove(line, vec![self.keyspace.lease(key)]).await?;
        }
        Ok(())
    }

    async fn fetch(&self, line: &Line, key: &Key) -> Result<Option<Blob>, Failure> {
        let name = self.keyspace.object(key);
        if !self.leases() {
            return Ok(fetch::get(line, &name).await?.map(Blob::new));
        }
        let found = fetch::get(line, &name);
        let alive = lease::is_alive(line, &self.keyspace, key);
        let (found, alive) = future::try_join(found, alive).await?;
        Ok(found.filter(|_| alive).map(Blob::new))
    }

    async fn is_there(&self, line: &Line, key: &Key) -> Result<bool, Failure> {
        let name = self.keyspace.object(key);
        if !self.leases() {
            return lease::exists(line, &name).await;
        }
        let there = lease::exists(line, &name);
        let alive = lease::is_alive(line, &self.keyspace, key);
        let (there, alive) = future::try_join(there, alive).await?;
        Ok(there && alive)
    }

    /// Everything that stands for these keys.
    fn names(&self, keys: &[Key]) -> Vec<object_store::path::Path> {
        let mut names: Vec<_> = keys.iter().map(|key| self.keyspace.object(key)).collect();
        if self.leases() {
            names.extend(keys.iter().map(|key| self.keyspace.lease(key)));
        }
        names
    }

    /// Takes back what a failed put may have left, under keys that nobody has.
    fn take_back(&self, keys: &[Key]) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let names = self.names(keys);
        self.engine.spawn(|line| async move {
            // The failure that led here says more.
            let _ = lease::remove(&line, names).await;
        });
    }
}

/// Opens `s3://…`, `gs://…` and `az://…`.
pub(crate) fn open_url(url: Url) -> Result<Arc<dyn Connector>> {
    let connector = ObjectStoreConnector::connect(ObjectStoreConfig::from_url(url)?)?;
    Ok(Arc::new(connector))
}

impl Connector for ObjectStoreConnector {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// None if it would hold a secret that the configuration does not allow to be sent.
    fn url(&self) -> Option<String> {
        self.config().reference()
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            batch: true,
            expiry: self.leases(),
            cross_process: true,
            cross_host: true,
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = self.new_key();
        let name = &key;
        let put = self.call(|line| async move { self.put_fresh(&line, name, payload).await });
        match put {
            Ok(()) => Ok(key),
            Err(error) => {
                self.take_back(std::slice::from_ref(&key));
                Err(error.with_key(&key))
            }
        }
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let keys: Vec<_> = payloads.iter().map(|_| self.new_key()).collect();
        if keys.is_empty() {
            return Ok(keys);
        }
        let each = keys.iter().zip(payloads);
        let largest = payloads.iter().map(Payload::len).max().unwrap_or(0);
        let at_once = (PUT_AT_ONCE / largest.max(1)).clamp(1, AT_ONCE);
        let put = self.call(|line| async move {
            let puts = each.map(|(key, payload)| self.put_fresh(&line, key, payload));
            let puts = stream::iter(puts).buffer_unordered(at_once);
            puts.try_collect::<()>().await
        });
        match put {
            Ok(()) => Ok(keys),
            Err(error) => {
                self.take_back(&keys);
                Err(error)
            }
        }
    }

    fn new_key(&self) -> Key {
        Key::fresh()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.call(|line| async move { self.replace(&line, key, payload).await })
            .map_err(|error| error.with_key(key))
    }

    fn get(&self, key: &Key, _access: Access) -> Result<Option<Blob>> {
        self.call(|line| async move { self.fetch(&line, key).await })
            .map_err(|error| error.with_key(key))
    }

    fn get_batch(&self, keys: &[Key], _access: Access) -> Result<Vec<Option<Blob>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.call(|line| async move {
            let gets = keys.iter().map(|key| self.fetch(&line, key));
            stream::iter(gets).buffered(AT_ONCE).try_collect().await
        })
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.call(|line| async move { self.is_there(&line, key).await })
            .map_err(|error| error.with_key(key))
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        let began = Instant::now();
        let mut pause = ASKED_EVERY.0;
        loop {
            let is_there = self.exists(key)?;
            let left = timeout.saturating_sub(began.elapsed());
            if is_there || left.is_zero() || interrupt::is_requested() {
                return Ok(is_there);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(ASKED_EVERY.1);
        }
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let names = self.names(std::slice::from_ref(key));
        self.call(|line| async move { lease::remove(&line, names).await })
            .map_err(|error| error.with_key(key))
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let names = self.names(keys);
        self.call(|line| async move { lease::remove(&line, names).await })
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        if !self.leases() {
            let message = "this connector was opened without leases (`leases=false`)";
            return Err(Error::new(ErrorKind::Unsupported, message).with_connector(KIND));
        }
        let keyspace = &self.keyspace;
        self.call(|line| async move { lease::touch(&line, keyspace, keys, lease).await })
    }

    fn sweep(&self) -> Result<()> {
        let keyspace = &self.keyspace;
        self.call(|line| async move {
            for _ in 0..ROUNDS {
                let due = lease::first_due(&line, keyspace).await?;
                if lease::sweep(&line, keyspace, due).await? < lease::SWEPT {
                    break;
                }
            }
            Ok(())
        })
    }

    fn keys(&self) -> Result<Vec<Key>> {
        let keyspace = &self.keyspace;
        self.call(|line| async move {
            let found = line.store.list(Some(&keyspace.objects));
            let keys =
                found.try_filter_map(|found| async move { Ok(keyspace.key_of(&found.location)) });
            Ok(keys.try_collect().await?)
        })
    }

    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        let keyspace = &self.keyspace;
        let cleared = if clear {
            self.engine.run(|line| async move {
                for folder in [&keyspace.objects, &keyspace.leases, &keyspace.due] {
                    lease::clear(&line, folder).await?;
                }
                Ok(())
            })
        } else {
            Ok(())
        };
        self.engine.close();
        cleared
    }

    fn is_quick(&self, _len: usize) -> bool {
        false
    }
}

impl fmt::Debug for ObjectStoreConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreConnector")
            .field("config", self.config())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ObjectStoreConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.config().place())
    }
}
