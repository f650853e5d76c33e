//! Objects in files of their own, by number.

use super::of_disk;
use crate::object::{Draft, Object};
use proxystore::{Error, Result};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Files {
    dir: PathBuf,
    next: AtomicU64,
}

impl Files {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let failed = |error| Error::io(error, format!("opening {}", dir.display()));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).map_err(failed)?;
        let mut last = 0;
        for entry in fs::read_dir(dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            last = last.max(name.to_str().and_then(number_of).unwrap_or(0));
        }
        Ok(Self {
            dir: dir.to_owned(),
            next: AtomicU64::new(last + 1),
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:016x}"))
    }

    /// Removes the files that no object has: what was being written when the daemon ended.
    pub(super) fn keep_only(&self, known: &[u64]) -> Result<()> {
        let known: HashSet<_> = known.iter().collect();
        let failed = |error| Error::io(error, format!("reading {}", self.dir.display()));
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(number) = name.to_str().and_then(number_of)
                && !known.contains(&number)
            {
                self.remove(number);
            }
        }
        Ok(())
    }

    /// Writes a new file, and sees to it that it outlives a loss of power if it is to persist.
    pub(super) fn write(&self, bytes: &[u8], persist: bool) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(number);
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            if persist { file.sync_data() } else { Ok(()) }
        });
        match written {
            Ok(()) => Ok(number),
            Err(error) => {
                self.remove(number);
                let kind = of_disk(&error);
                let words = format!("writing {}", path.display());
                Err(Error::new(kind, words).with_source(error))
            }
        }
    }

    /// `None` if the file is gone, or has another length.
    pub(super) fn read(&self, number: u64, len: u64) -> Result<Option<Object>> {
        let path = self.path(number);
        let failed = |error| Error::io(error, format!("reading {}", path.display()));
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if file.metadata().map_err(failed)?.len() != len {
            return Ok(None);
        }
        let draft = Draft::new(len)?;
        let mut slot = draft.slot(0, len)?;
        while !slot.is_empty() {
            match file.read(&mut slot) {
                Ok(0) => return Ok(None),
                Ok(got) => slot.mark(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        drop(slot);
        draft.finish().map(Some)
    }

    /// Removes a file. One that cannot be removed is removed at the next start.
    pub(super) fn remove(&self, number: u64) {
        let _ = fs::remove_file(self.path(number));
    }
}

fn number_of(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok())?
}
