//! A connector that fails on demand.

use proxystore::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A method of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Connector::put`].
    Put,
    /// [`Connector::put_batch`].
    PutBatch,
    /// [`Connector::set`].
    Set,
    /// [`Connector::get`].
    Get,
    /// [`Connector::get_batch`].
    GetBatch,
    /// [`Connector::exists`].
    Exists,
    /// [`Connector::evict`].
    Evict,
    /// [`Connector::evict_batch`].
    EvictBatch,
    /// [`Connector::close`].
    Close,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with an error of this kind and does nothing.
    Fail(ErrorKind),
    /// The call does its work and then fails, as when a connection drops before the answer.
    FailAfter(ErrorKind),
    /// The call works, after this time.
    Delay(Duration),
    /// What a get returns, or what a put or set stores, is cut to its first so many bytes.
    Truncate(usize),
    /// A put or set stores the first half of the object and then fails; a batch does the first
    /// half of its objects.
    DropHalfway,
}

/// Wraps a connector and lets chosen calls go wrong.
///
/// ```
/// use proxystore::connectors::memory::MemoryConnector;
/// use proxystore::{Access, Connector, ConnectorExt, ErrorKind};
/// use proxystore_testkit::{Call, Fault, FaultConnector};
///
/// let connector = FaultConnector::new(MemoryConnector::new());
/// connector.inject(Call::Get, 2, Fault::Fail(ErrorKind::Timeout)); // the second get from now
///
/// let key = connector.put_bytes(b"hello")?;
/// assert!(connector.get(&key, Access::Auto).is_ok());
/// let error = connector.get(&key, Access::Auto).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Timeout);
/// assert!(connector.get(&key, Access::Auto).is_ok());
/// assert_eq!(connector.count(Call::Get), 3);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultConnector<C> {
    inner: C,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    counts: HashMap<Call, u64>,
    once: HashMap<(Call, u64), Fault>,
    always: HashMap<Call, Fault>,
}

impl<C: Connector> FaultConnector<C> {
    /// A wrapper through which everything works so far.
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            plan: Mutex::default(),
        }
    }

    /// Lets the `nth` such call from now (1 is the next) go wrong, once.
    pub fn inject(&self, call: Call, nth: u64, fault: Fault) {
        let mut plan = self.plan();
        let at = plan.counts.get(&call).copied().unwrap_or(0) + nth;
        plan.once.insert((call, at), fault);
    }

    /// Lets every such call go wrong, until [`heal`](Self::heal).
    pub fn inject_always(&self, call: Call, fault: Fault) {
        self.plan().always.insert(call, fault);
    }

    /// Forgets every fault that is still to come.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.once.clear();
        plan.always.clear();
    }

    /// How many such calls there were.
    pub fn count(&self, call: Call) -> u64 {
        self.plan().counts.get(&call).copied().unwrap_or(0)
    }

    /// The connector inside.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what goes wrong in it.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        let count = plan.counts.entry(call).or_default();
        *count += 1;
        let at = (call, *count);
        plan.once
            .remove(&at)
            .or_else(|| plan.always.get(&call).copied())
    }

    /// A call that moves no bytes.
    fn plain<T>(&self, call: Call, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.next(call) {
            Some(Fault::Fail(kind)) => Err(self.error(kind)),
            Some(Fault::FailAfter(kind)) => {
                work()?;
                Err(self.error(kind))
            }
            Some(Fault::DropHalfway) => Err(self.error(ErrorKind::Io)),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                work()
            }
            Some(Fault::Truncate(_)) | None => work(),
        }
    }

    /// A call that stores one object.
    fn store<T>(
        &self,
        call: Call,
        payload: &Payload<'_>,
        work: impl Fn(&Payload<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.next(call) {
            Some(Fault::Fail(kind)) => Err(self.error(kind)),
            Some(Fault::FailAfter(kind)) => {
                work(payload)?;
                Err(self.error(kind))
            }
            Some(Fault::DropHalfway) => {
                work(&cut(payload, payload.len() / 2))?;
                Err(self.error(ErrorKind::Io))
            }
            Some(Fault::Truncate(len)) => work(&cut(payload, len)),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                work(payload)
            }
            None => work(payload),
        }
    }

    /// A call that fetches objects.
    fn fetch<T>(
        &self,
        call: Call,
        work: impl FnOnce() -> Result<T>,
        cut: impl FnOnce(&mut T, usize),
    ) -> Result<T> {
        match self.next(call) {
            Some(Fault::Truncate(len)) => {
                let mut got = work()?;
                cut(&mut got, len);
                Ok(got)
            }
            Some(Fault::Fail(kind) | Fault::FailAfter(kind)) => Err(self.error(kind)),
            Some(Fault::DropHalfway) => Err(self.error(ErrorKind::Io)),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                work()
            }
            None => work(),
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, "a fault injected on purpose").with_connector(self.inner.kind())
    }
}

/// The first `len` bytes.
fn cut<'a>(payload: &Payload<'a>, len: usize) -> Payload<'a> {
    let mut rest = len;
    let mut short = Payload::new(&[]);
    for piece in payload.pieces() {
        let part = &piece[..piece.len().min(rest)];
        rest -= part.len();
        short.push(part);
    }
    if payload.is_framed() {
        short = short.framed();
    }
    match payload.lease() {
        Some(lease) => short.with_lease(lease),
        None => short,
    }
}

fn cut_blob(blob: &mut Option<Blob>, len: usize) {
    if let Some(whole) = blob
        && whole.len() > len
    {
        *blob = Some(whole.slice(0..len));
    }
}

impl<C: Connector> Connector for FaultConnector<C> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        self.store(Call::Put, payload, |payload| self.inner.put(payload))
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        match self.next(Call::PutBatch) {
            Some(Fault::Fail(kind)) => Err(self.error(kind)),
            Some(Fault::FailAfter(kind)) => {
                self.inner.put_batch(payloads)?;
                Err(self.error(kind))
            }
            Some(Fault::DropHalfway) => {
                self.inner.put_batch(&payloads[..payloads.len() / 2])?;
                Err(self.error(ErrorKind::Io))
            }
            Some(Fault::Truncate(len)) => {
                let short: Vec<_> = payloads.iter().map(|payload| cut(payload, len)).collect();
                self.inner.put_batch(&short)
            }
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                self.inner.put_batch(payloads)
            }
            None => self.inner.put_batch(payloads),
        }
    }

    fn new_key(&self) -> Key {
        self.inner.new_key()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.store(Call::Set, payload, |payload| self.inner.set(key, payload))
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.fetch(Call::Get, || self.inner.get(key, access), cut_blob)
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        let work = || self.inner.get_batch(keys, access);
        self.fetch(Call::GetBatch, work, |blobs, len| {
            blobs.iter_mut().for_each(|blob| cut_blob(blob, len));
        })
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.plain(Call::Exists, || self.inner.exists(key))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.plain(Call::Evict, || self.inner.evict(key))
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        self.plain(Call::EvictBatch, || self.inner.evict_batch(keys))
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        self.inner.wait(key, timeout)
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

    fn close(&self, clear: bool) -> Result<()> {
        self.plain(Call::Close, || self.inner.close(clear))
    }

    fn is_quick(&self, len: usize) -> bool {
        self.inner.is_quick(len)
    }
}

impl<C: Connector> fmt::Display for FaultConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with faults", self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxystore::ConnectorExt;
    use proxystore::connectors::memory::MemoryConnector;
    use proxystore::frame::{Codec, Frame, FrameBuilder};

    #[test]
    fn a_truncated_frame_is_seen() {
        let connector = FaultConnector::new(MemoryConnector::new());
        let mut builder = FrameBuilder::new(Codec::Bytes);
        builder.push_buffer(b"hello");
        let head = builder.head();
        connector.inject(Call::Get, 1, Fault::Truncate(50));
        let key = connector.put(&builder.payload(&head)).unwrap();
        let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
        assert_eq!(
            Frame::parse(&blob).unwrap_err().kind(),
            ErrorKind::InvalidFrame
        );
    }

    #[test]
    fn half_a_put_stores_half_and_fails() {
        let connector = FaultConnector::new(MemoryConnector::new());
        let key = connector.new_key();
        connector.inject(Call::Set, 1, Fault::DropHalfway);
        assert!(connector.set(&key, &Payload::from_bytes(b"abcd")).is_err());
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"ab");
    }

    #[test]
    fn what_is_always_wrong_can_be_healed() {
        let connector = FaultConnector::new(MemoryConnector::new());
        connector.inject_always(Call::Exists, Fault::Fail(ErrorKind::Unreachable));
        let key = Key::fresh();
        for _ in 0..3 {
            assert!(connector.exists(&key).unwrap_err().is_retryable());
        }
        connector.heal();
        assert!(!connector.exists(&key).unwrap());
    }

    /// Without faults it is a connector like any other.
    #[test]
    fn keeps_the_contract() {
        crate::run(|| std::sync::Arc::new(FaultConnector::new(MemoryConnector::new())));
    }
}
