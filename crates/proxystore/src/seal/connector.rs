//! A connector whose objects travel in envelopes.

use super::link::Link;
use super::{Envelope, Seal};
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Up to here putting an object into its envelope, or taking it out, ends within some 100 µs.
const QUICK: usize = 128 << 10;

/// Puts objects through another connector in envelopes, and refuses what comes back otherwise.
///
/// Where the connector takes a key before the object, which all of ours do, a signed or encrypted
/// envelope is bound to that key.
///
/// ```
/// use proxystore::connectors::memory::MemoryConnector;
/// use proxystore::seal::{Compression, Seal, SealConfig, Sealed};
/// use proxystore::{Connector, ConnectorExt};
/// use std::sync::Arc;
///
/// let config = SealConfig::default().compression(Compression::Zstd);
/// let place = Arc::new(MemoryConnector::new());
/// let sealed = Sealed::new(place.clone(), Arc::new(Seal::new(&config)?));
/// let key = sealed.put_bytes(&[7; 100_000])?;
/// assert_eq!(sealed.get_vec(&key)?, Some(vec![7; 100_000]));
/// assert!(place.get_vec(&key)?.is_some_and(|stored| stored.len() < 1000));
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct Sealed {
    inner: Arc<dyn Connector>,
    seal: Arc<Seal>,
    /// Whether a key is known before its object is put.
    binds: bool,
    /// Whether the place is memory or near it: compression could only lose there.
    is_local: bool,
    link: Link,
}

impl Sealed {
    /// A connector around another one.
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, seal: Arc<Seal>) -> Self {
        Self {
            binds: seal.demands_key() && inner.capability().deferred_set,
            is_local: inner.is_quick(1),
            inner,
            seal,
            link: Link::default(),
        }
    }

    fn envelope<'a>(
        &self,
        payload: &'a Payload<'_>,
        key: Option<&Key>,
    ) -> Result<Option<Envelope<'a>>> {
        // Told before the work, and by the length that callers are told of.
        if let Some(most) = self
            .capability()
            .max_len
            .filter(|most| payload.len() as u64 > *most)
        {
            let message = format!(
                "an object of {} bytes is larger than the {most} that fit into {self} in an \
                 envelope",
                payload.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message).with_connector(self.kind()));
        }
        let began = Instant::now();
        let link = (!self.is_local).then_some(&self.link);
        let envelope = self.seal.wrap(payload, key, link)?;
        if let Some(envelope) = &envelope {
            self.link
                .compressed(envelope.method, payload.len(), began.elapsed());
        }
        Ok(envelope)
    }

    /// Hands an object on in its envelope, or as it is.
    fn wrapped<R>(
        &self,
        payload: &Payload<'_>,
        key: Option<&Key>,
        put: impl FnOnce(&Payload<'_>) -> Result<R>,
    ) -> Result<R> {
        let envelope = self.envelope(payload, key)?;
        let began = Instant::now();
        let (done, len) = match &envelope {
            None => (put(payload)?, payload.len()),
            Some(envelope) => {
                let payload = envelope.payload();
                (put(&payload)?, payload.len())
            }
        };
        self.link.moved(len, began.elapsed());
        Ok(done)
    }

    fn open(&self, key: &Key, blob: Blob) -> Result<Blob> {
        let began = Instant::now();
        let method = super::method_of(&blob);
        let opened = self
            .seal
            .open_bound(blob, Some(key), self.binds)
            .map_err(|error| error.with_key(key).with_connector(self.kind()))?;
        self.link
            .decompressed(method, opened.len(), began.elapsed());
        Ok(opened)
    }

    /// How the stored bytes are to come. What is to be verified must not change afterwards, as a
    /// mapped file may; what is decrypted is copied in any case.
    fn access(&self, access: Access) -> Access {
        match (&self.seal.config().encryption, &self.seal.config().signing) {
            (Some(_), _) => Access::View,
            (_, Some(_)) => Access::Copy,
            (None, None) => access,
        }
    }
}

impl Connector for Sealed {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn url(&self) -> Option<String> {
        let url = self.inner.url()?;
        let mark = if url.contains('?') { '&' } else { '?' };
        Some(format!("{url}{mark}{}", self.seal.config().to_options()))
    }

    fn capability(&self) -> Capability {
        let inner = self.inner.capability();
        Capability {
            keeps_owners: false,
            sealed: self.seal.demands_key(),
            // An envelope is longer by 20 bytes for each megabyte, and a little.
            max_len: inner
                .max_len
                .map(|most| most - most / 1024 - (most.min(256))),
            ..inner
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        if self.binds {
            let key = self.inner.new_key();
            self.set(&key, payload)?;
            return Ok(key);
        }
        self.wrapped(payload, None, |payload| self.inner.put(payload))
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let keys: Vec<_> = if self.binds {
            payloads.iter().map(|_| self.inner.new_key()).collect()
        } else {
            Vec::new()
        };
        let mut envelopes = Vec::with_capacity(payloads.len());
        for (index, payload) in payloads.iter().enumerate() {
            envelopes.push(self.envelope(payload, keys.get(index))?);
        }
        let wrapped: Vec<_> = envelopes
            .iter()
            .zip(payloads)
            .map(|(envelope, payload)| match envelope {
                Some(envelope) => envelope.payload(),
                None => as_it_is(payload),
            })
            .collect();
        if !self.binds {
            return self.inner.put_batch(&wrapped);
        }
        self.inner.set_batch(&keys, &wrapped)?;
        Ok(keys)
    }

    fn new_key(&self) -> Key {
        self.inner.new_key()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let bound = self.binds.then_some(key);
        self.wrapped(payload, bound, |payload| self.inner.set(key, payload))
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        let began = Instant::now();
        let found = self.inner.get(key, self.access(access))?;
        found
            .map(|blob| {
                self.link.moved(blob.len(), began.elapsed());
                self.open(key, blob)
            })
            .transpose()
    }

    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        match self.inner.get_quick(key, self.access(access))? {
            Some(Some(blob)) if is_quick(&blob) => Ok(Some(Some(self.open(key, blob)?))),
            Some(None) => Ok(Some(None)),
            _ => Ok(None),
        }
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        let found = self.inner.get_batch(keys, self.access(access))?;
        let open =
            |(blob, key): (Option<Blob>, &Key)| blob.map(|blob| self.open(key, blob)).transpose();
        found.into_iter().zip(keys).map(open).collect()
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.inner.exists(key)
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        self.inner.wait(key, timeout)
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key)
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        self.inner.evict_batch(keys)
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        self.inner.touch(keys, lease)
    }

    fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        self.inner.bind_to_process(keys)
    }

    fn evict_bound(&self) -> Result<()> {
        self.inner.evict_bound()
    }

    fn sweep(&self) -> Result<()> {
        self.inner.sweep()
    }

    fn keys(&self) -> Result<Vec<Key>> {
        self.inner.keys()
    }

    fn close(&self, clear: bool) -> Result<()> {
        self.inner.close(clear)
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= QUICK && self.inner.is_quick(len)
    }
}

/// The same payload; it may live shorter.
fn as_it_is<'a>(payload: &'a Payload<'_>) -> Payload<'a> {
    let mut same = Payload::new(payload.pieces());
    if payload.is_framed() {
        same = same.framed();
    }
    if let Some(owner) = payload.owner() {
        same = same.with_owner(Arc::clone(owner));
    }
    match payload.lease() {
        Some(lease) => same.with_lease(lease),
        None => same,
    }
}

/// Whether what was stored is soon opened: short, and of a short object.
fn is_quick(blob: &Blob) -> bool {
    let content = blob.get(16..24).map_or(0, |bytes| {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes);
        u64::from_le_bytes(raw)
    });
    !super::is_envelope(blob) || (blob.len() <= 2 * QUICK && content <= QUICK as u64)
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("inner", &self.inner)
            .field("config", self.seal.config())
            .finish()
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}
