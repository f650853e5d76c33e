//! The verbs as futures: on a runtime of tokio and on none, over a server, files and memory.

#![allow(clippy::unwrap_used)] // a test may

use proxystore::connectors::memory::MemoryConnector;
use proxystore::{
    Access, AsyncStore, Blob, Capability, Connector, ErrorKind, Key, Payload, Proxy, Result, Store,
};
use proxystore_testkit::RedisServer;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// A runtime of one thread: whoever holds it up holds up everything.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// What a future needs at least: somebody who polls it when he is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

async fn every_verb(url: &str) -> Result<()> {
    let store = AsyncStore::open("verbs", url).await?;
    let key = store.put("text".to_owned()).await?;
    assert_eq!(store.get::<String>(&key).await?.as_deref(), Some("text"));
    assert!(store.exists(&key).await?);
    store.set(&key, "another".to_owned()).await?;
    assert_eq!(store.get::<String>(&key).await?.as_deref(), Some("another"));
    let wrong = store.get::<Vec<u8>>(&key).await.unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.key()),
        (ErrorKind::WrongType, Some(&key))
    );
    store.evict(&key).await?;
    assert!(!store.exists(&key).await?);
    assert_eq!(store.get::<String>(&key).await?, None);

    let large = vec![7_u8; 3 << 20];
    let keys = store
        .put_batch(vec![large.clone(), vec![], large.clone()])
        .await?;
    store.evict(&keys[1]).await?;
    let got = store.get_batch::<Vec<u8>>(keys).await?;
    assert_eq!(got, [Some(large.clone()), None, Some(large.clone())]);

    let proxy = store.proxy(large.clone()).await?;
    assert!(*proxy.resolve_async().await? == large);
    assert!(proxy.is_resolved());
    let gone: Proxy<String> = Proxy::of_key(store.blocking(), Key::fresh());
    let error = gone.resolve_async().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // Blocking calls need no runtime, and may be made inside of one.
    let key = store.blocking().put("blocking")?;
    assert!(store.exists(&key).await?);
    store.blocking().close(true)
}

#[test]
fn every_verb_on_tokio_and_without_a_runtime() {
    let server = RedisServer::start(&[]);
    let directory = std::env::temp_dir().join(format!("asynchronous-{}", std::process::id()));
    for url in [
        "memory://".to_owned(),
        "shm://".to_owned(),
        format!("file://{}", directory.display()),
        format!("redis://127.0.0.1:{}", server.port()),
    ] {
        runtime().block_on(every_verb(&url)).unwrap();
        block_on(every_verb(&url)).unwrap();
    }
    // Clearing removed the directory with the objects.
    assert!(!directory.exists());
}

/// A connector as slow as somebody else likes.
#[derive(Debug)]
struct Held {
    inner: MemoryConnector,
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Held {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Connector for Held {
    fn kind(&self) -> &'static str {
        "held"
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.inner.set(key, payload)
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let limit = Duration::from_secs(60);
        let closed = self.is_open.lock().unwrap();
        let waited = self
            .opened
            .wait_timeout_while(closed, limit, |is_open| !*is_open);
        assert!(!waited.unwrap().1.timed_out(), "nobody opened");
        self.inner.get(key, access)
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.inner.exists(key)
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key)
    }

    fn close(&self, clear: bool) -> Result<()> {
        self.inner.close(clear)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("held")
    }
}

/// Threads of the pool.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "proxystore").count()
}

#[test]
fn a_slow_place_holds_up_no_task_and_no_more_threads_than_the_pool_has() {
    let held = Arc::new(Held {
        inner: MemoryConnector::new(),
        is_open: Mutex::new(false),
        opened: Condvar::new(),
        waiting: AtomicUsize::new(0),
    });
    let store = AsyncStore::from(Store::new("held", held.clone()));
    let keys: Vec<Key> = (0..200)
        .map(|number: i64| store.blocking().put(&number).unwrap())
        .collect();
    let runtime = runtime();
    let sum = runtime.block_on(async {
        let tasks: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let store = store.clone();
                tokio::spawn(async move { store.get::<i64>(&key).await.unwrap().unwrap() })
            })
            .collect();
        // This task goes on while all those wait, and it alone can end that.
        while held.waiting.load(Ordering::SeqCst) < 8 {
            tokio::task::yield_now().await;
        }
        assert!(threads() <= 32, "{}", threads());
        held.open();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 199 * 200 / 2);
}
