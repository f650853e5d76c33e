//! What only the memory connector does: objects that are kept by reference.

use proxystore::blob::Region;
use proxystore::connectors::memory::MemoryConnector;
use proxystore::{Access, Connector, Payload};
use std::any::Any;
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
    assert!(quick(&large, Access::View).is_some());
    assert!(quick(&connector.new_key(), Access::Auto).unwrap().is_none());
}
