//! What our objects are called.

use super::config::ObjectStoreConfig;
use crate::Key;
use crate::config::decode;
use object_store::path::{Path, PathPart};

/// Digits of a time in milliseconds since 1970, enough for some thousand years.
const DIGITS: usize = 14;

/// Names under a prefix and a namespace:
///
/// ```text
/// prefix/namespace/objects/key               an object
///                 /leases/key                when its lease ends, if it has one
///                 /due/00001795405632000-key the same, in the order of time, for who sweeps
/// ```
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    pub(super) objects: Path,
    pub(super) due: Path,
    pub(super) leases: Path,
}

impl Keyspace {
    pub(super) fn new(config: &ObjectStoreConfig) -> Self {
        let root = Path::from(config.prefix.as_str()).join(config.namespace.as_str());
        Self {
            objects: root.clone().join("objects"),
            leases: root.clone().join("leases"),
            due: root.join("due"),
        }
    }

    pub(super) fn object(&self, key: &Key) -> Path {
        self.objects.clone().join(key.as_str())
    }

    pub(super) fn lease(&self, key: &Key) -> Path {
        self.leases.clone().join(key.as_str())
    }

    pub(super) fn due(&self, key: &Key, end: u64) -> Path {
        self.due
            .clone()
            .join(PathPart::from(format!("{end:0DIGITS$}-{key}")))
    }

    /// Whether a name lies in a folder itself, and not in one below, which is another namespace's:
    /// of one whose prefix is our own name.
    pub(super) fn is_ours(folder: &Path, name: &Path) -> bool {
        name.parts_count() == folder.parts_count() + 1
    }

    /// The key of an object's name. `None` for what somebody else put there.
    pub(super) fn key_of(&self, name: &Path) -> Option<Key> {
        if !Self::is_ours(&self.objects, name) {
            return None;
        }
        Key::new(&decode(name.filename()?)?).ok()
    }

    /// When a lease ends, and whose it is.
    pub(super) fn due_of(&self, name: &Path) -> Option<(u64, Key)> {
        let text = decode(name.filename()?)?;
        let (end, key) = text.split_once('-')?;
        Some((end.parse().ok()?, Key::new(key).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Provider;
    use super::*;

    #[test]
    fn names_are_read_back() {
        let config = ObjectStoreConfig::new(Provider::S3, "bucket").prefix("a/b");
        let keyspace = Keyspace::new(&config);
        let long = "é".repeat(127);
        for name in [
            "x", "a b", "50%", "a~b?c#d", "...", "-", "%2E", "é\n", &long,
        ] {
            let key = Key::new(name).unwrap();
            let object = keyspace.object(&key);
            assert!(object.as_ref().starts_with("a/b/proxystore/objects/"));
            assert_eq!(object.parts_count(), 5);
            assert_eq!(Path::parse(object.as_ref()).unwrap(), object);
            assert_eq!(keyspace.key_of(&object), Some(key.clone()));
            assert_eq!(keyspace.due_of(&keyspace.due(&key, 7)), Some((7, key)));
        }
        let key = Key::fresh();
        assert!(keyspace.due(&key, 999) < keyspace.due(&key, 1_000_000_000));
    }
}
