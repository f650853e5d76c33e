//! What only the memory connector does: objects by reference, large ones by mapping.
#![allow(clippy::unwrap_used)] // in what the tests share

use proxystore::blob::Region;
use proxystore::connectors::memory::MemoryConnector;
use proxystore::{Access, Connector, Key, Payload};
use std::any::Any;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Stands for an immutable object of the program.
struct Owner(Box<[u8]>);

impl Owner {
    fn new(bytes: &[u8]) -> Arc<Self> {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self(bytes.into()))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

// SAFETY: the box is never changed.
unsafe impl Region for Owner {
    fn start(&self) -> NonNull<u8> {
        NonNull::from(&*self.0).cast()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn an_owner_comes_back_and_its_bytes_are_the_whole_payload() {
    let connector = MemoryConnector::new();
    let owner = Owner::new(&[7; 5000]);
    let payload = Payload::new(&[b"head", &owner.0[..100], b"-", &owner.0[100..], b"tail"])
        .with_owner(Arc::clone(&owner) as Arc<dyn Region>);
    let key = connector.put(&payload).unwrap();
    for access in [Access::Auto, Access::Cow, Access::View] {
        let blob = connector.get(&key, access).unwrap().unwrap();
        assert_eq!(blob.len(), 5009);
        let found = blob.region().as_any().downcast_ref::<Owner>().unwrap();
        assert!(std::ptr::eq(found, &*owner));
        assert!(!blob.is_writable());
        assert_eq!(blob[..], payload.to_vec());
    }
    let copy = connector.get(&key, Access::Copy).unwrap().unwrap();
    assert!(copy.is_writable());
    assert!(copy.region().as_any().downcast_ref::<Owner>().is_none());
    assert_eq!(copy[..], payload.to_vec());

    let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
    connector.evict(&key).unwrap();
    drop(payload);
    drop(owner);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1, "the blob still needs it");
    assert_eq!(blob.len(), 5009);
    drop(blob);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
}

#[test]
fn an_owner_of_nothing_stored_is_not_kept() {
    let connector = MemoryConnector::new();
    let stranger: Arc<dyn Region> = Arc::new(proxystore::blob::Buffer::with_len(10));
    let payload = Payload::from_bytes(b"other bytes").with_owner(stranger);
    let key = connector.put(&payload).unwrap();
    let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
    assert!(blob.is_writable(), "an ordinary copy");
    assert_eq!(&blob[..], b"other bytes");
}

#[test]
fn a_view_takes_no_writes() {
    let connector = MemoryConnector::new();
    let key = connector.put(&Payload::from_bytes(b"shared")).unwrap();
    let view = connector.get(&key, Access::View).unwrap().unwrap();
    assert!(!view.is_writable());
    let auto = connector.get(&key, Access::Auto).unwrap().unwrap();
    assert!(auto.is_writable());
}

#[test]
fn a_quick_get_declines_what_takes_long() {
    let connector = MemoryConnector::new();
    let (small, large) = (vec![1; 1000], vec![2; 50_000_000]);
    let small = connector.put(&Payload::from_bytes(&small)).unwrap();
    let large = connector.put(&Payload::from_bytes(&large)).unwrap();
    let quick = |key, access| connector.get_quick(key, access).unwrap();
    assert_eq!(quick(&small, Access::Auto).unwrap().unwrap().len(), 1000);
    assert!(quick(&large, Access::Copy).is_none());
    for access in [Access::Auto, Access::Cow, Access::View] {
        assert!(quick(&large, access).is_some(), "mapped");
    }
    assert!(quick(&connector.new_key(), Access::Auto).unwrap().is_none());
}

/// Above the size from which objects are mapped, and no multiple of a page.
const LARGE: usize = 9_000_001;

fn content(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 13) as u8 ^ seed).collect()
}

#[test]
fn memory_that_is_used_again_shows_nothing_of_before() {
    let connector = MemoryConnector::new();
    let put = |bytes: &[u8]| connector.put(&Payload::from_bytes(bytes)).unwrap();
    let get = |key: &Key, access| connector.get(key, access).unwrap().unwrap();
    for round in 0..6_u8 {
        let (first, second) = (content(round, LARGE), content(round + 100, LARGE - 5));
        let key = put(&first);
        let kept = get(&key, Access::Auto);
        let written = get(&key, Access::Cow);
        // SAFETY: a private mapping; nobody holds a slice of it now.
        unsafe { written.as_ptr().write_bytes(1, 5_000_000) };
        connector.evict(&key).unwrap();
        // `kept` is seen still, so its memory must not be taken for this one.
        let other = put(&second);
        assert!(kept[..] == first[..]);
        assert!(written[..5_000_000].iter().all(|byte| *byte == 1));
        assert!(written[5_000_000..] == first[5_000_000..]);
        drop((kept, written));
        let third = put(&first);
        assert!(get(&other, Access::View)[..] == second[..]);
        assert!(get(&third, Access::Auto)[..] == first[..]);
        connector.evict_batch(&[other, third]).unwrap();
    }
    proxystore::blob::clear_pool();
}

/// A forked child shares large objects' memory with its parent: neither may use it anew.
#[test]
fn neither_side_of_a_fork_changes_what_the_other_sees() {
    let connector = MemoryConnector::new();
    let (old, new) = (content(1, LARGE), content(2, LARGE));
    let put = |bytes: &[u8]| connector.put(&Payload::from_bytes(bytes)).unwrap();
    let same = |key, bytes: &[u8]| {
        let blob = connector.get(key, Access::Auto).unwrap();
        blob.is_some_and(|blob| blob[..] == *bytes)
    };
    // One that waits for its next use, and two that are in use.
    connector.evict(&put(&old)).unwrap();
    let (evicted_here, evicted_there) = (put(&old), put(&old));
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    // SAFETY: the child checks, answers and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let mut turn = [0];
        connector.evict(&evicted_there).unwrap();
        let mine = [put(&new), put(&new)];
        let _ = theirs
            .write_all(b"1")
            .and_then(|()| theirs.read_exact(&mut turn));
        let good = same(&evicted_here, &old) && mine.iter().all(|key| same(key, &new));
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    ours.read_exact(&mut [0]).unwrap();
    let kept = same(&evicted_there, &old);
    connector.evict(&evicted_here).unwrap();
    let mine = [put(&new), put(&content(3, LARGE)), put(&new)];
    ours.write_all(b"2").unwrap();
    let mut status = 0;
    // SAFETY: waits for our own child.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert_eq!(status, 0, "the child sees other bytes");
    assert!(kept && same(&mine[0], &new) && same(&mine[2], &new));
}

#[test]
fn many_large_objects_leave_the_program_its_file_descriptors() {
    let connector = MemoryConnector::new();
    let bytes = content(4, 5 << 20);
    let keys: Vec<_> = (0..200)
        .map(|_| connector.put(&Payload::from_bytes(&bytes)).unwrap())
        .collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 300, "{open} are open");
    for key in &keys {
        let blob = connector.get(key, Access::Auto).unwrap().unwrap();
        assert!(blob.is_writable() && blob[..] == bytes[..]);
    }
}
