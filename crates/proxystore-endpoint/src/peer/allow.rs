//! Who may come in, and by what names clients know them: the file `peers.toml` in the endpoint's folder.
//!
//! The list is mutual: an endpoint neither answers nor calls anybody who is not on it. The file may be edited while
//! the daemon runs; it is read again when it has changed.

use crate::identity::{Alias, PublicKey};
use crate::remote::{Allowed, PeerName};
use proxystore::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The list, on the disk and in memory.
#[derive(Debug)]
pub struct AllowList {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    /// What the file was when it was read; `None` if there was none.
    version: Option<(u64, u64, i64, i64)>,
    entries: Arc<Vec<Entry>>,
}

/// One of those who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: PublicKey,
    /// The UUID that clients may name it by.
    pub alias: Alias,
    /// What the file says.
    pub allowed: Allowed,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    peer: Vec<Line>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
}

impl AllowList {
    /// The list in this file. No file is an empty list.
    ///
    /// # Errors
    /// `InvalidConfig` if the file is no list, with the line.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let list = Self {
            path: path.into(),
            read: Mutex::new(Read::default()),
        };
        list.refresh()?;
        Ok(list)
    }

    /// Everybody on the list. If the file was spoilt meanwhile, those who were on it before.
    #[must_use]
    pub fn entries(&self) -> Arc<Vec<Entry>> {
        self.refresh().unwrap_or_else(|_| {
            Arc::clone(
                &self
                    .read
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entries,
            )
        })
    }

    /// The entry of a key.
    #[must_use]
    pub fn of_key(&self, key: &PublicKey) -> Option<Entry> {
        self.entries()
            .iter()
            .find(|entry| entry.key == *key)
            .cloned()
    }

    /// The entry that a client names: by key, UUID or label.
    ///
    /// # Errors
    /// `InvalidConfig` if nobody on the list has that name, with the command that adds one.
    pub fn of_name(&self, name: &PeerName) -> Result<Entry> {
        let entries = self.entries();
        let text = name.as_str();
        let found = if let Ok(key) = text.parse::<PublicKey>() {
            entries.iter().find(|entry| entry.key == key)
        } else if let Ok(alias) = text.parse::<Alias>() {
            entries.iter().find(|entry| entry.alias == alias)
        } else {
            entries.iter().find(|entry| {
                (entry.allowed.label.as_deref())
                    .is_some_and(|label| label.eq_ignore_ascii_case(text))
            })
        };
        found.cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "endpoint {text} is not on this endpoint's list of peers: add it with \
                     `proxystore-endpoint peer add`, giving its public key"
                ),
            )
        })
    }

    /// Adds a peer, or replaces its entry.
    ///
    /// # Errors
    /// `InvalidConfig` for a key or UUID that is none, or a UUID that stands for another key already.
    pub fn add(&self, allowed: Allowed) -> Result<PublicKey> {
        let entry = Entry::of(allowed)?;
        let mut entries = (*self.refresh()?).clone();
        entries.retain(|other| other.key != entry.key);
        if let Some(other) = entries.iter().find(|other| other.alias == entry.alias) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "the UUID {} stands for the key {} already: remove that one first, or give another UUID",
                    entry.alias, other.key
                ),
            ));
        }
        for address in &entry.allowed.addresses {
            check_address(address)?;
        }
        let key = entry.key;
        entries.push(entry);
        self.write(entries)?;
        Ok(key)
    }

    /// Takes a peer off the list.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn remove(&self, name: &PeerName) -> Result<Option<PublicKey>> {
        let Ok(entry) = self.of_name(name) else {
            return Ok(None);
        };
        let mut entries = (*self.refresh()?).clone();
        entries.retain(|other| other.key != entry.key);
        self.write(entries)?;
        Ok(Some(entry.key))
    }

    fn refresh(&self) -> Result<Arc<Vec<Entry>>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let version = fs::metadata(&self.path)
            .ok()
            .map(|data| (data.ino(), data.len(), data.mtime(), data.mtime_nsec()));
        if version != read.version {
            let entries = if version.is_some() {
                load(&self.path)?
            } else {
                Vec::new()
            };
            *read = Read {
                version,
                entries: Arc::new(entries),
            };
        }
        Ok(Arc::clone(&read.entries))
    }

    fn write(&self, entries: Vec<Entry>) -> Result<()> {
        let lines = entries.into_iter().map(|entry| Line {
            key: entry.allowed.key,
            uuid: entry.allowed.uuid,
            label: entry.allowed.label,
            addresses: entry.allowed.addresses,
        });
        let text = toml::to_string(&File {
            peer: lines.collect(),
        })
        .map_err(|error| self.wrong(&error))?;
        let temporary = self
            .path
            .with_extension(format!("new.{}", std::process::id()));
        let written = (|| {
            let _ = fs::remove_file(&temporary);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(
                b"# Who may come in. Written by `proxystore-endpoint peer`; may be edited.\n\n",
            )?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Error::io(
                error,
                format!(
                    "the list of peers {} cannot be written",
                    self.path.display()
                ),
            )
        })?;
        self.refresh().map(drop)
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> Error {
        wrong(&self.path, error)
    }
}

impl Entry {
    fn of(mut allowed: Allowed) -> Result<Self> {
        let key: PublicKey = allowed.key.parse()?;
        iroh::PublicKey::from_bytes(key.as_bytes()).map_err(|_| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("{key} is no public key: a digit of it must be wrong"),
            )
        })?;
        let alias = match &allowed.uuid {
            Some(uuid) => uuid.parse()?,
            None => key.alias(),
        };
        allowed.key = key.to_string();
        allowed.uuid = Some(alias.to_string());
        Ok(Self {
            key,
            alias,
            allowed,
        })
    }
}

fn load(path: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::io(
            error,
            format!("the list of peers {} cannot be read", path.display()),
        )
    })?;
    let file: File = toml::from_str(&text).map_err(|error| wrong(path, &error))?;
    let entries = file.peer.into_iter().map(|line| {
        Entry::of(Allowed {
            key: line.key,
            uuid: line.uuid,
            label: line.label,
            addresses: line.addresses,
        })
        .map_err(|error| wrong(path, &error))
    });
    entries.collect()
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidConfig,
        format!("the list of peers {} is wrong: {error}", path.display()),
    )
}

fn check_address(address: &str) -> Result<()> {
    let port = address
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()));
    match port {
        Some((host, Ok(port))) if !host.is_empty() && port != 0 => Ok(()),
        _ => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "{address:?} is no address of a peer: give host:port, such as node7.example.org:8766"
            ),
        )),
    }
}
