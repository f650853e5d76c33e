//! A connector of one's own in less than a hundred lines: a file for each object, written aside and
//! renamed. `cargo test --example own_connector` holds it to the contract.

use proxystore::config::{Url, percent_encode};
use proxystore::{Access, Blob, Capability, Connector, Error, Key, Payload, Result, Store};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, fs};

#[derive(Debug)]
struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into().join("proxystore-shelf"); // ours alone, to be cleared
        fs::create_dir_all(&dir).map_err(|error| failed(error, "making the shelf"))?;
        Ok(Self { dir })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(key.as_str()) // a key never leaves its directory
    }
}

fn failed(error: io::Error, doing: &'static str) -> Error {
    Error::io(error, doing).with_connector("shelf")
}

/// What is missing is no error.
fn if_there<T>(result: io::Result<T>, doing: &'static str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error, doing)),
    }
}

impl Connector for Shelf {
    fn kind(&self) -> &'static str {
        "shelf"
    }
    fn url(&self) -> Option<String> {
        let dir = self.dir.parent()?.to_str()?;
        Some(format!("shelf://{}", percent_encode(dir))) // other processes open it with this
    }
    fn capability(&self) -> Capability {
        let mut capability = Capability::default();
        capability.deferred_set = true;
        capability.cross_process = true;
        capability
    }
    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let aside = self.path(&Key::fresh()).with_extension("aside");
        let write = || {
            let mut file = fs::File::create(&aside)?;
            for piece in payload.pieces() {
                file.write_all(piece)?;
            }
            fs::rename(&aside, self.path(key))
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&aside);
            failed(error, "writing").with_key(key)
        })
    }
    fn get(&self, key: &Key, _: Access) -> Result<Option<Blob>> {
        let found = if_there(fs::read(self.path(key)), "reading")?;
        Ok(found.map(|bytes| Blob::copy_from(&bytes)))
    }
    fn exists(&self, key: &Key) -> Result<bool> {
        Ok(self.path(key).exists())
    }
    fn evict(&self, key: &Key) -> Result<()> {
        if_there(fs::remove_file(self.path(key)), "removing").map(drop)
    }
    fn close(&self, clear: bool) -> Result<()> {
        if clear {
            if_there(fs::remove_dir_all(&self.dir), "clearing")?;
        }
        Ok(())
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shelf of {}", self.dir.display())
    }
}

fn open_url(url: Url) -> Result<Arc<dyn Connector>> {
    let connector = Shelf::open(url.path())?;
    url.finish()?; // an option that nobody took is a mistake
    Ok(Arc::new(connector))
}

fn main() -> Result<()> {
    proxystore::registry::register("shelf", open_url)?;
    let dir = std::env::temp_dir().join(format!("shelf-{}", std::process::id()));
    let store = Store::open("example", &format!("shelf://{}", dir.display()))?;
    let proxy = store.proxy(&"hello".to_owned())?;
    assert_eq!(proxy.resolve()?, "hello");
    store.close(true)
}

#[test]
fn it_holds_to_the_contract() {
    let fresh = || {
        let name = format!("shelf-{}", Key::fresh());
        Shelf::open(std::env::temp_dir().join(name)).expect("a directory can be made")
    };
    proxystore_testkit::run(|| Arc::new(fresh()));
}
