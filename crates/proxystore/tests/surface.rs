//! What programs may rely on of the public types: no change takes it away unseen.

#![allow(clippy::unwrap_used)] // a test may

use proxystore::codec::tree::{MessagePack, Value};
use proxystore::codec::{AnyArray, Encoded, Object, View};
use proxystore::connectors::{file, memory, multi, redis, shared_memory};
use proxystore::{
    Access, AsyncStore, Blob, BorrowedProxy, Capability, Connector, Error, ErrorKind, Key,
    Lifetime, OwnedProxy, Payload, Proxy, Reference, Resolving, Store, StoreBuilder, StoreFuture,
};
use proxystore::{blob, cache, config, fork, frame, registry, routing, single_flight, stream};
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A type that threads share.
fn shared<T: Debug + Send + Sync + Unpin>() {}

/// One that is handed from thread to thread.
fn sent<T: Debug + Send + Unpin>() {}

/// One that is a plain value.
fn value<T: Clone + Debug + Eq + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

#[test]
fn threads_share_what_they_should() {
    // The proxied type itself need not be shared by the handle's `Debug`.
    shared::<Proxy<String>>();
    shared::<OwnedProxy<String>>();
    shared::<BorrowedProxy<'static, String>>();
    shared::<StoreFuture<String>>();
    sent::<Resolving<String>>();
    shared::<Store>();
    shared::<AsyncStore>();
    shared::<StoreBuilder>();
    shared::<Lifetime>();
    shared::<Error>();
    shared::<Blob>();
    shared::<blob::Buffer>();
    shared::<blob::Mapping>();
    shared::<Payload<'static>>();
    shared::<Encoded<'static>>();
    shared::<Object>();
    shared::<AnyArray>();
    shared::<View<str>>();
    shared::<View<[f64]>>();
    shared::<MessagePack<Value>>();
    shared::<frame::Frame<'static>>();
    shared::<frame::FrameBuilder<'static>>();
    shared::<registry::Registry>();
    shared::<config::Url>();
    shared::<cache::Cache<Key, Blob>>();
    shared::<single_flight::SingleFlight<Key, Blob>>();
    shared::<fork::ForkMutex<u8>>();
    shared::<std::sync::Arc<dyn Connector>>();
    shared::<file::FileConnector>();
    shared::<memory::MemoryConnector>();
    shared::<multi::MultiConnector>();
    shared::<redis::RedisConnector>();
    shared::<shared_memory::SharedMemoryConnector>();
    sent::<stream::StreamProducer<String>>();
    sent::<stream::StreamConsumer<String>>();
    shared::<stream::Channel>();
}

#[test]
fn configurations_and_names_are_values() {
    value::<Key>();
    value::<Reference>();
    value::<ErrorKind>();
    value::<Access>();
    value::<Capability>();
    value::<frame::Codec>();
    value::<routing::Policy>();
    value::<file::FileConfig>();
    value::<redis::RedisConfig>();
    value::<redis::TlsConfig>();
    value::<redis::SentinelConfig>();
    #[cfg(feature = "object-stores")]
    value::<proxystore::connectors::object_store::ObjectStoreConfig>();
    value::<shared_memory::SharedMemoryConfig>();
    value::<shared_memory::Session>();

    fn hashed<T: Hash>() {}
    hashed::<Key>();
    hashed::<Reference>();
    hashed::<ErrorKind>();
    hashed::<Access>();
    hashed::<Capability>();

    fn from_error<E: From<Error>>() {}
    from_error::<Box<dyn std::error::Error + Send + Sync>>();
}

/// Futures of the asynchronous store run on runtimes that move tasks between threads.
#[test]
fn asynchronous_verbs_are_send() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let store = AsyncStore::from(Store::in_memory("surface"));
    let key = Key::fresh();
    drop(send(store.put("text".to_owned())));
    drop(send(store.get::<String>(&key)));
    drop(send(store.exists(&key)));
    drop(send(store.evict(&key)));
    drop(send(store.proxy("text".to_owned())));
}

#[test]
fn keys_are_text_in_every_form() {
    let key: Key = "results-1".parse().unwrap();
    assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
    assert_eq!(
        "a/b".parse::<Key>().unwrap_err().kind(),
        ErrorKind::InvalidKey
    );
    let store = Store::in_memory("keys");
    let kept = store.put(&MessagePack(&key)).unwrap();
    assert_eq!(
        store.get::<MessagePack<Key>>(&kept).unwrap(),
        Some(MessagePack(key))
    );
    let kept = store.put(&MessagePack("../x")).unwrap();
    let refused = store.get::<MessagePack<Key>>(&kept).unwrap_err();
    assert!(refused.to_string().contains("is no key"), "{refused}");
}
