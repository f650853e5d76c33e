//! Objects that go when the process that put them ends.

use crate::fork::{self, ForkMutex};
use crate::{Access, Blob, Capability, Connector, Key, Payload, Result};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long objects live after their process where leases stand for it, unless it lives on and
/// renews them: three times as often, so that two failures in a row do no harm.
const LEASE: Duration = Duration::from_secs(60);
/// Environment variable: another time, in seconds.
const LEASE_VARIABLE: &str = "PROXYSTORE_PROCESS_LEASE";
/// How often a place is swept where it does not remove by itself what has ended.
const SWEPT_EVERY: Duration = Duration::from_secs(2);
/// Between two attempts of a renewal that failed.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A connector whose objects go when this process ends, however it ends; what others put stays.
///
/// In a directory a ledger names them, on which the process holds a record lock: the next opener
/// removes them, or within seconds another connector like this one. Elsewhere they have a lease of
/// a minute (`PROXYSTORE_PROCESS_LEASE`, in seconds), which a thread of the process renews. A forked child is a process of its own.
///
/// ```
/// use proxystore::connectors::file::{FileConfig, FileConnector};
/// use proxystore::{Connector, ConnectorExt, ProcessBound};
/// use std::sync::Arc;
///
/// let dir = std::env::temp_dir().join(format!("proxystore-bound-{}", std::process::id()));
/// let place = Arc::new(FileConnector::open(FileConfig::new(dir))?);
/// let bound = ProcessBound::new(place.clone())?;
/// let key = bound.put_bytes(b"for now")?;
/// bound.close(false)?; // as the end of the process would
/// assert!(!place.exists(&key)?);
/// # place.close(true)?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct ProcessBound {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn Connector>,
    /// Whether the place notes what belongs to a process; leases stand for it otherwise.
    is_noted: bool,
    lease: Duration,
    renewed: ForkMutex<Renewed>,
}

/// What one process renews.
#[derive(Default)]
struct Renewed {
    /// Of the process that this is about; a forked child begins anew.
    generation: Option<u64>,
    keys: HashSet<Key>,
}

impl ProcessBound {
    /// Binds what is put through it to this process.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the connector can neither note
    /// what belongs to a process nor keep leases.
    pub fn new(inner: Arc<dyn Connector>) -> Result<Self> {
        let can = inner.capability();
        if !can.process_bound && !can.expiry {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "this connector cannot tell when a process ends: it keeps no leases",
            )
            .with_connector(inner.kind()));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                inner,
                is_noted: can.process_bound && can.deferred_set,
                lease: lease_time(),
                renewed: ForkMutex::default(),
            }),
        })
    }

    fn inner(&self) -> &dyn Connector {
        &*self.shared.inner
    }

    /// Starts the thread that renews or sweeps, once in each process.
    fn keep(&self) {
        let generation = Some(fork::generation());
        {
            let mut renewed = self.shared.renewed.lock();
            if renewed.generation == generation {
                return;
            }
            *renewed = Renewed {
                generation,
                keys: HashSet::new(),
            };
        }
        let shared = Arc::downgrade(&self.shared);
        // Without a thread, leases run out and the next opener sweeps.
        let _ = std::thread::Builder::new()
            .name("proxystore-keeper".to_owned())
            .spawn(move || keep(&shared));
    }

    fn add(&self, keys: &[Key]) {
        self.shared.renewed.lock().keys.extend(keys.iter().cloned());
    }

    /// With a lease, unless it has one of its own.
    fn leased<'a>(&self, payload: &Payload<'a>) -> Payload<'a> {
        let payload = payload.clone();
        match payload.lease() {
            Some(_) => payload,
            None => payload.with_lease(self.shared.lease),
        }
    }

    fn forget(&self, keys: &[Key]) {
        if !self.shared.is_noted {
            let mut renewed = self.shared.renewed.lock();
            for key in keys {
                renewed.keys.remove(key);
            }
        }
    }
}

fn keep(shared: &Weak<Shared>) {
    let mut pause = Duration::ZERO;
    loop {
        std::thread::sleep(pause);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        pause = match (shared.is_noted, shared.keep()) {
            (true, _) => SWEPT_EVERY,
            (false, Ok(())) => shared.lease / 3,
            (false, Err(_)) => TRIED_AGAIN_AFTER.min(shared.lease / 3),
        };
    }
}

impl Shared {
    fn keep(&self) -> Result<()> {
        if self.is_noted {
            return self.inner.sweep();
        }
        let keys: Vec<_> = self.renewed.lock().keys.iter().cloned().collect();
        let there = self.inner.touch(&keys, self.lease)?;
        let mut renewed = self.renewed.lock();
        for (key, _) in keys.iter().zip(there).filter(|(_, there)| !there) {
            renewed.keys.remove(key);
        }
        Ok(())
    }
}

impl Connector for ProcessBound {
    fn kind(&self) -> &'static str {
        self.inner().kind()
    }

    fn url(&self) -> Option<String> {
        self.inner().url()
    }

    fn capability(&self) -> Capability {
        self.inner().capability()
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        self.keep();
        if self.shared.is_noted {
            let key = self.inner().new_key();
            self.inner().bind_to_process(std::slice::from_ref(&key))?;
            self.inner().set(&key, payload)?;
            return Ok(key);
        }
        let key = self.inner().put(&self.leased(payload))?;
        if payload.lease().is_none() {
            self.add(std::slice::from_ref(&key));
        }
        Ok(key)
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        self.keep();
        if !self.shared.is_noted {
            let leased: Vec<_> = payloads.iter().map(|one| self.leased(one)).collect();
            let keys = self.inner().put_batch(&leased)?;
            let own = keys
                .iter()
                .zip(payloads)
                .filter(|(_, one)| one.lease().is_none());
            self.add(&own.map(|(key, _)| key.clone()).collect::<Vec<_>>());
            return Ok(keys);
        }
        let keys: Vec<_> = payloads.iter().map(|_| self.inner().new_key()).collect();
        self.inner().bind_to_process(&keys)?;
        for (key, payload) in keys.iter().zip(payloads) {
            if let Err(error) = self.inner().set(key, payload) {
                // All or none; the failure says more than a second one from here.
                let _ = self.inner().evict_batch(&keys);
                return Err(error);
            }
        }
        Ok(keys)
    }

    fn new_key(&self) -> Key {
        self.inner().new_key()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.keep();
        if self.shared.is_noted {
            self.inner().bind_to_process(std::slice::from_ref(key))?;
            return self.inner().set(key, payload);
        }
        self.inner().set(key, &self.leased(payload))?;
        if payload.lease().is_none() {
            self.add(std::slice::from_ref(key));
        }
        Ok(())
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.inner().get(key, access)
    }

    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        self.inner().get_quick(key, access)
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        self.inner().get_batch(keys, access)
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.inner().exists(key)
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        self.inner().wait(key, timeout)
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.forget(std::slice::from_ref(key));
        self.inner().evict(key)
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        self.forget(keys);
        self.inner().evict_batch(keys)
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        // Such a lease is shorter or longer than this process, as its holder wants it.
        self.forget(keys);
        self.inner().touch(keys, lease)
    }

    fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        self.inner().bind_to_process(keys)
    }

    fn evict_bound(&self) -> Result<()> {
        if self.shared.is_noted {
            return self.inner().evict_bound();
        }
        let keys: Vec<_> = {
            let mut renewed = self.shared.renewed.lock();
            if renewed.generation != Some(fork::generation()) {
                return Ok(()); // a forked child has put nothing yet
            }
            renewed.keys.drain().collect()
        };
        self.inner().evict_batch(&keys)
    }

    fn sweep(&self) -> Result<()> {
        self.inner().sweep()
    }

    fn keys(&self) -> Result<Vec<Key>> {
        self.inner().keys()
    }

    /// Removes what this process put, then closes.
    fn close(&self, clear: bool) -> Result<()> {
        let evicted = self.evict_bound();
        evicted.and(self.inner().close(clear))
    }

    fn is_quick(&self, len: usize) -> bool {
        self.inner().is_quick(len)
    }
}

fn lease_time() -> Duration {
    let text = std::env::var(LEASE_VARIABLE).ok();
    let seconds = text.and_then(|text| text.parse().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|lease| !lease.is_zero())
        .unwrap_or(LEASE)
}

impl fmt::Debug for ProcessBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessBound")
            .field(&self.shared.inner)
            .finish()
    }
}

impl fmt::Display for ProcessBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shared.inner)
    }
}
