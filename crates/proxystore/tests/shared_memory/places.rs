//! Directories of the trials' own, so that they do not sweep each other's.

use proxystore::Key;
use proxystore::connectors::shared_memory::{Session, SharedMemoryConfig, SharedMemoryConnector};
use std::path::{Path, PathBuf};

pub(crate) struct Places {
    pub(crate) memory: PathBuf,
    pub(crate) disk: PathBuf,
}

impl Places {
    pub(crate) fn new() -> Self {
        let make = |root: &str| {
            let path = Path::new(root).join(format!("proxystore-test-{}", Key::fresh()));
            std::fs::create_dir(&path).unwrap();
            path
        };
        Self {
            memory: make("/dev/shm"),
            disk: make(env!("CARGO_TARGET_TMPDIR")),
        }
    }

    pub(crate) fn config(&self) -> SharedMemoryConfig {
        let config = SharedMemoryConfig::default();
        config.dir(&self.memory).spill_dir(&self.disk)
    }

    pub(crate) fn connector(&self) -> SharedMemoryConnector {
        SharedMemoryConnector::create(self.config()).unwrap()
    }

    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("PROXYSTORE_SHM_DIR", self.memory.to_str().unwrap()),
            ("PROXYSTORE_SPILL_DIR", self.disk.to_str().unwrap()),
        ]
    }

    /// Names below the user's directory in memory, and on disk.
    pub(crate) fn names(&self) -> (Vec<String>, Vec<String>) {
        (
            names(&user_directory(&self.memory)),
            names(&user_directory(&self.disk)),
        )
    }

    /// Whether a session's files, of whatever kind, are all gone.
    pub(crate) fn is_swept(&self, session: &str) -> bool {
        let (memory, disk) = self.names();
        !memory
            .iter()
            .chain(&disk)
            .any(|name| name.starts_with(session))
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.memory);
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

pub(crate) fn user_directory(root: &Path) -> PathBuf {
    // SAFETY: no more than a number comes back.
    root.join(format!("proxystore-{}", unsafe { libc::geteuid() }))
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(listing) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    listing
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// As one line, to tell another process.
pub(crate) fn to_line(session: &Session) -> String {
    let spill = session.spill_dir.as_deref().unwrap_or(Path::new(""));
    format!(
        "{}|{}|{}|{}|{}",
        session.name,
        session.place,
        session.dir.display(),
        spill.display(),
        session.origin
    )
}

pub(crate) fn from_line(line: &str) -> Session {
    let parts: Vec<_> = line.splitn(5, '|').collect();
    Session {
        name: parts[0].to_owned(),
        place: parts[1].to_owned(),
        dir: parts[2].into(),
        spill_dir: (!parts[3].is_empty()).then(|| parts[3].into()),
        origin: parts[4].to_owned(),
    }
}
