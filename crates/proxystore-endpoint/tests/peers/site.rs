//! A site: an endpoint with objects in memory.

use proxystore::Result;
use proxystore_endpoint::identity::SecretKey;
use proxystore_endpoint::object::Object;
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::{Peers, PeersConfig};
use proxystore_endpoint::remote::{Allowed, Path, PeerName, Remote};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Objects in memory. `full` makes it refuse to keep any.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) objects: Mutex<HashMap<String, Object>>,
    pub(crate) limit: Option<u64>,
    pub(crate) full: bool,
}

impl Objects for Shelf {
    fn get(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }

    fn get_in_memory(&self, key: &str) -> Option<Option<Object>> {
        Some(self.objects.lock().unwrap().get(key).cloned())
    }

    fn put(&self, key: &str, object: Object) -> Result<()> {
        self.check(object.len() as u64)?;
        if self.full {
            return Err(proxystore::Error::new(
                proxystore::ErrorKind::Full,
                "no space left on the disk",
            ));
        }
        self.objects.lock().unwrap().insert(key.to_owned(), object);
        Ok(())
    }

    fn is_quick(&self, _len: usize) -> bool {
        true
    }

    fn exists(&self, key: &str) -> bool {
        self.objects.lock().unwrap().contains_key(key)
    }

    fn evict(&self, key: &str) -> Result<()> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }

    fn limit(&self) -> Option<u64> {
        self.limit
    }
}

/// An endpoint, and what it told people.
pub(crate) struct Site {
    pub(crate) peers: Arc<Peers>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) config: PeersConfig,
    folder: PathBuf,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Shelf::default(), |_| {}).await
    }

    pub(crate) async fn with(shelf: Shelf, change: impl FnOnce(&mut PeersConfig)) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("site-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut config = PeersConfig::new(SecretKey::generate(), folder.join("peers.toml"));
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        let said = Arc::clone(&log);
        config.log = Arc::new(move |words| said.lock().unwrap().push(words.to_owned()));
        change(&mut config);
        let shelf = Arc::new(shelf);
        let peers = Peers::start(config.clone(), Arc::clone(&shelf) as Arc<dyn Objects>)
            .await
            .unwrap();
        Self {
            peers,
            shelf,
            log,
            config,
            folder,
        }
    }

    /// Stops and starts again at the same port, with the same objects and list.
    pub(crate) async fn restart(&mut self) {
        let mut config = self.config.clone();
        config.listen = self.peers.addresses().to_vec();
        self.peers.close().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        self.peers = Peers::start(config, Arc::clone(&self.shelf) as Arc<dyn Objects>)
            .await
            .unwrap();
    }

    pub(crate) fn name(&self) -> PeerName {
        PeerName::new(&self.peers.key()).unwrap()
    }

    /// The entry of this site in another one's list.
    pub(crate) fn entry(&self, known: bool) -> Allowed {
        let addresses = self.peers.addresses().iter().map(ToString::to_string);
        Allowed {
            key: self.peers.key(),
            uuid: None,
            label: None,
            addresses: if known {
                addresses.collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Each lets the other in; `self` knows where `other` is.
    pub(crate) fn befriend(&self, other: &Site) {
        self.peers.add(other.entry(true)).unwrap();
        other.peers.add(self.entry(false)).unwrap();
    }

    pub(crate) fn path_to(&self, other: &Site) -> Option<Path> {
        let statuses = self.peers.status();
        statuses
            .into_iter()
            .find(|status| status.key == other.peers.key())?
            .path
    }

    pub(crate) fn said(&self, words: &str) -> bool {
        self.log
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(words))
    }
}

/// Bytes in which every misplaced piece shows.
pub(crate) fn pattern(len: usize) -> Object {
    Object::copy_from(&proxystore_testkit::content(1, len)).unwrap()
}
