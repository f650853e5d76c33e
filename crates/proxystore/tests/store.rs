//! Stores, proxies and what is built on them, between threads and between processes.

use proxystore::codec::tree::MessagePack;
use proxystore::codec::{AnyArray, Object};
use proxystore::connectors::memory::MemoryConnector;
use proxystore::frame::Codec;
use proxystore::{
    Access, Blob, ErrorKind, Key, Lifetime, OwnedProxy, Proxy, Reference, Store, StoreBuilder,
    StoreFuture,
};
use proxystore_testkit::{Call, Fault, FaultConnector, RedisServer};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn folder(name: &str) -> (std::path::PathBuf, String) {
    let path = std::env::temp_dir().join(format!("proxystore-{name}-{}", std::process::id()));
    let url = format!("file://{}", path.display());
    (path, url)
}

#[test]
fn what_is_put_is_got() {
    let (_, url) = folder("round-trip");
    for url in ["memory://", url.as_str(), "shm://"] {
        let store = Store::open("round-trip", url).unwrap();
        let key = store.put(&b"bytes"[..]).unwrap();
        assert_eq!(store.get::<Vec<u8>>(&key).unwrap().unwrap(), b"bytes");
        assert_eq!(&*store.get::<Blob>(&key).unwrap().unwrap(), b"bytes");
        assert_eq!(&*store.get_view::<[u8]>(&key).unwrap().unwrap(), b"bytes");
        let key = store.put("text").unwrap();
        assert_eq!(store.get::<String>(&key).unwrap().unwrap(), "text");
        assert_eq!(&*store.get_view::<str>(&key).unwrap().unwrap(), "text");
        let key = store.put(&-7_i32).unwrap();
        assert_eq!(store.get::<i64>(&key).unwrap(), Some(-7));
        let map = BTreeMap::from([("a".to_owned(), vec![1.5, 2.5])]);
        let key = store.put(&MessagePack(&map)).unwrap();
        let got = store.get::<MessagePack<BTreeMap<String, Vec<f64>>>>(&key);
        assert_eq!(got.unwrap().unwrap().0, map);
        let keys = store.put_batch(&["one", "two"]).unwrap();
        store.evict(&keys[0]).unwrap();
        let got = store.get_batch::<String>(&keys).unwrap();
        assert_eq!(got, [None, Some("two".to_owned())]);
        assert_eq!(store.get::<String>(&Key::fresh()).unwrap(), None);
        store.close(true).unwrap();
    }
}

#[test]
fn every_connector_lists_its_keys() {
    let server = RedisServer::start(&[]);
    let (_, file) = folder("listing");
    let redis = format!("redis://127.0.0.1:{}", server.port());
    for url in ["memory://", file.as_str(), redis.as_str(), "shm://"] {
        let store = Store::open("listing", url).unwrap();
        let mut keys: Vec<_> = (0..2500)
            .map(|number| store.put(&number).unwrap())
            .collect();
        keys.push(store.put(&vec![1_u8; 600 << 10]).unwrap());
        store.evict(&keys.remove(7)).unwrap();
        let mut listed = store.connector().keys().unwrap();
        listed.sort_unstable();
        keys.sort_unstable();
        assert_eq!(listed, keys, "{url}");
        store.close(true).unwrap();
    }
}

#[test]
fn a_view_outlives_its_object() {
    let (_, url) = folder("view");
    let store = Store::open("view", &url).unwrap();
    let numbers: Vec<f64> = (0..100_000).map(f64::from).collect();
    let array = AnyArray::from_slice(&[100, 1000], &numbers).unwrap();
    let key = store.put(&array).unwrap();
    let view = store.get_view::<[f64]>(&key).unwrap().unwrap();
    store.close(true).unwrap();
    assert_eq!(&*view, &numbers[..]);
    assert_eq!(view.array().unwrap().shape[..], [100, 1000]);
}

#[test]
fn another_type_is_an_error_that_names_the_codec() {
    let store = Store::in_memory("types");
    let key = store.put("text").unwrap();
    let error = store.get::<Vec<u8>>(&key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("codec Str"), "{error}");
    assert_eq!(error.key(), Some(&key));
    let array = AnyArray::from_slice(&[2], &[1.0_f32, 2.0]).unwrap();
    let key = store.put(&array).unwrap();
    let error = store.get_view::<[f64]>(&key).unwrap_err();
    assert!(error.to_string().contains("float32"), "{error}");
    assert_eq!(
        store.get::<Object>(&key).unwrap().unwrap().codec(),
        Codec::Ndarray
    );
}

#[test]
fn checksums_are_written_if_wanted() {
    let store = StoreBuilder::new("checked").checksum_buffers(true);
    let store = store.open("memory://").unwrap();
    let key = store.put("text").unwrap();
    let mut bytes = store
        .object(&key, Access::View)
        .unwrap()
        .unwrap()
        .blob()
        .to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(Object::parse(bytes.into()).is_err());
}

#[test]
fn many_threads_resolve_once() {
    let counting = Arc::new(FaultConnector::new(MemoryConnector::new()));
    let store = StoreBuilder::new("threads")
        .cache_entries(0)
        .connect(counting.clone());
    let proxy: Proxy<String> = store.proxy(&"hello".to_owned()).unwrap();
    let barrier = Barrier::new(16);
    let addresses: Vec<usize> = std::thread::scope(|scope| {
        let resolve = || {
            let proxy = proxy.clone();
            barrier.wait();
            proxy.resolve().unwrap().as_ptr().addr()
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(resolve)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(addresses.iter().all(|address| *address == addresses[0]));
    assert_eq!(counting.count(Call::Get), 1);
}

#[test]
fn a_failure_leaves_a_proxy_to_be_tried_again() {
    let faults = Arc::new(FaultConnector::new(MemoryConnector::new()));
    let store = Store::new("failing", faults.clone());
    let proxy: Proxy<String> = store.proxy(&"hello".to_owned()).unwrap();
    faults.inject(Call::Get, 1, Fault::Fail(ErrorKind::Unreachable));
    assert_eq!(proxy.resolve().unwrap_err().kind(), ErrorKind::Unreachable);
    assert!(!proxy.is_resolved());
    assert_eq!(proxy.resolve().unwrap(), "hello");
    let gone: Proxy<String> = Proxy::of_key(&store, Key::fresh());
    assert_eq!(gone.resolve().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_proxy_that_evicts() {
    let store = Store::in_memory("evicting");
    let proxy = store.proxy(&"once".to_owned()).unwrap().evicting().unwrap();
    assert_eq!(proxy.resolve().unwrap(), "once");
    assert!(!store.exists(proxy.key()).unwrap());
    assert_eq!(proxy.clone().resolve().unwrap(), "once");
}

#[test]
fn what_resolves_in_the_background() {
    let store = Store::in_memory("background");
    let proxy = store.proxy(&"hello".to_owned()).unwrap();
    assert_eq!(*proxy.resolve_async().wait().unwrap(), "hello");
    let gone: Proxy<String> = Proxy::of_key(&store, Key::fresh());
    let error = gone.resolve_async().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn owners_and_lifetimes_evict() {
    let store = Store::in_memory("owners");
    let mut owned: OwnedProxy<String> = store.owned_proxy(&"first".to_owned()).unwrap();
    let key = owned.key().clone();
    assert_eq!(owned.borrow().resolve().unwrap(), "first");
    owned.update(&"second".to_owned()).unwrap();
    assert_eq!(owned.borrow().resolve().unwrap(), "second");
    assert_eq!(owned.into_inner().unwrap(), "second");
    assert!(!store.exists(&key).unwrap());

    let kept = store.owned_proxy(&"kept".to_owned()).unwrap().into_proxy();
    assert!(store.exists(kept.key()).unwrap());

    let lifetime = Lifetime::new();
    let keys: Vec<_> = (0..3)
        .map(|number| store.put_within(&lifetime, &number).unwrap())
        .collect();
    drop(lifetime);
    assert!(keys.iter().all(|key| !store.exists(key).unwrap()));

    let lease = Lifetime::lease(Duration::from_millis(30));
    let key = store.put_within(&lease, "leased").unwrap();
    while store.exists(&key).unwrap() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(lease.is_over() && !lease.extend(Duration::from_secs(1)));
    let late = store.put_within(&lease, "late").unwrap();
    assert!(!store.exists(&late).unwrap());
}

#[test]
fn a_future_that_nobody_sets_times_out() {
    let store = Store::in_memory("futures");
    let future: StoreFuture<String> = store.future().unwrap();
    let error = future.wait(Some(Duration::from_millis(20))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    future.set(&"late".to_owned()).unwrap();
    assert_eq!(future.proxy().resolve().unwrap(), "late");
}

/// The other process: sets the future that it is given.
#[test]
fn a_process_that_sets() {
    let Ok(text) = std::env::var("PROXYSTORE_TEST_FUTURE") else {
        return; // run as a test of its own it has nothing to do
    };
    let reference: Reference = text.parse().unwrap();
    let future: StoreFuture<String> = StoreFuture::of_reference(&reference).unwrap();
    assert!(!future.is_set().unwrap());
    future.set(&"from elsewhere".to_owned()).unwrap();
}

#[test]
fn a_future_is_set_by_another_process() {
    let server = RedisServer::start(&[]);
    let (_, file) = folder("future");
    let redis = format!("redis://127.0.0.1:{}", server.port());
    for url in [file.as_str(), redis.as_str(), "shm://"] {
        let store = Store::open("future", url).unwrap();
        let future: StoreFuture<String> = store.future().unwrap();
        let mut setter = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_sets"])
            .env(
                "PROXYSTORE_TEST_FUTURE",
                future.reference().unwrap().to_text(),
            )
            .spawn()
            .unwrap();
        let value = future.wait(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(value, "from elsewhere", "{url}");
        assert!(setter.wait().unwrap().success(), "{url}");
        store.close(true).unwrap();
    }
}

#[test]
fn objects_of_this_process_have_no_reference() {
    let proxy = Store::in_memory("local").proxy(&1_i64).unwrap();
    let error = proxy.reference().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// The other process: resolves what it is given, and prints it.
#[test]
fn a_process_that_resolves() {
    let Ok(text) = std::env::var("PROXYSTORE_TEST_REFERENCE") else {
        return; // run as a test of its own it has nothing to do
    };
    let proxy: Proxy<String> = Proxy::of_reference(text.parse().unwrap());
    assert_eq!(proxy.resolve().unwrap(), "across");
    assert_eq!(proxy.store().unwrap().name(), "across processes");
}

#[test]
fn a_reference_is_resolved_by_another_process() {
    let server = RedisServer::start(&["--requirepass", "a /secret"]);
    let (_, file) = folder("across");
    let redis = format!(
        "redis://:a%20%2Fsecret@127.0.0.1:{}/1?allow_secret=true",
        server.port()
    );
    for url in [file.as_str(), redis.as_str(), "shm://"] {
        let store = Store::open("across processes", url).unwrap();
        let proxy = store.proxy(&"across".to_owned()).unwrap();
        let text = proxy.reference().unwrap().to_text();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_that_resolves"])
            .env("PROXYSTORE_TEST_REFERENCE", &text)
            .status()
            .unwrap();
        assert!(status.success(), "{url}");
        let again: Reference = text.parse().unwrap();
        assert_eq!(again, proxy.reference().unwrap());
        store.close(true).unwrap();
    }
}

#[test]
fn a_proxy_serializes_as_its_reference_alone() {
    let (_, url) = folder("serde");
    let store = Store::open("serde", &url).unwrap();
    store.register().unwrap();
    let proxy = store.proxy(&"x".repeat(10_000)).unwrap();
    proxy.resolve().unwrap();
    let carrier = store.put(&MessagePack(("job", &proxy))).unwrap();
    let object = store.object(&carrier, Access::View).unwrap().unwrap();
    assert!(object.byte_len() < 300, "{object:?}");
    type Job = MessagePack<(String, Proxy<String>)>;
    let MessagePack((_, got)) = store.get::<Job>(&carrier).unwrap().unwrap();
    assert!(!got.is_resolved());
    // Of one process: the value itself is shared.
    assert!(std::ptr::eq(
        got.resolve().unwrap(),
        proxy.resolve().unwrap()
    ));
    store.close(true).unwrap();
}
