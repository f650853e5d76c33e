//! Objects that go with the process that put them.
//!
//! Before it puts such an object, a process notes the key in its ledger, a file on which it holds a
//! record lock: the lock goes with the process, however that ends, and is not inherited by a fork.
//! Whoever sweeps removes the objects in each ledger that nobody holds, and then the ledger.

use super::clear::entries;
use super::directory::Directory;
use super::lease::KEPT_DIRECTORY;
use super::system;
use crate::fork::{self, ForkMutex};
use crate::{Key, Result};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A ledger of this length is written anew, without what is gone by then.
const COMPACTED_FROM: usize = 1 << 20;
/// A sweeper may take a ledger away between its making and its locking.
const ATTEMPTS: usize = 16;

/// The ledger of this process in one directory.
struct Ledger {
    directory: PathBuf,
    generation: u64,
    page: Mutex<Page>,
}

struct Page {
    name: CString,
    file: File,
    len: usize,
    compacted_from: usize,
}

/// Held for as long as the process lives, whether a connector uses them or not.
fn ledgers() -> &'static ForkMutex<Vec<Arc<Ledger>>> {
    static LEDGERS: OnceLock<ForkMutex<Vec<Arc<Ledger>>>> = OnceLock::new();
    LEDGERS.get_or_init(ForkMutex::default)
}

/// Those of this process; a forked child closes its copies, which leaves the parent's locks alone.
fn own(path: &Path) -> Option<Arc<Ledger>> {
    let mut ledgers = ledgers().lock();
    ledgers.retain(|ledger| ledger.generation == fork::generation());
    ledgers.iter().find(|one| one.is_of(path)).cloned()
}

impl Ledger {
    fn is_of(&self, path: &Path) -> bool {
        self.directory == path && self.generation == fork::generation()
    }
}

impl Directory {
    /// Notes that objects, which are put after this, go with this process.
    pub(crate) fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else {
            return Ok(());
        };
        self.note(keys)
            .map_err(|error| self.error(error, "noting an object of this process", first))
    }

    fn note(&self, keys: &[Key]) -> io::Result<()> {
        let ledger = match own(self.path()) {
            Some(ledger) => ledger,
            None => self.new_ledger()?,
        };
        let mut page = ledger.page.lock().unwrap_or_else(PoisonError::into_inner);
        if system::stat(page.file.as_raw_fd())?.st_nlink == 0 {
            // Somebody cleared the directory.
            *page = self.new_page()?;
        }
        if page.len > page.compacted_from {
            self.compact(&mut page)?;
        }
        page.add(keys)
    }

    fn new_ledger(&self) -> io::Result<Arc<Ledger>> {
        let ledger = Arc::new(Ledger {
            directory: self.path().to_owned(),
            generation: fork::generation(),
            page: Mutex::new(self.new_page()?),
        });
        let mut ledgers = ledgers().lock();
        // Another thread may have been faster; then this one goes, and its empty file is swept.
        if let Some(other) = ledgers.iter().find(|one| one.is_of(self.path())) {
            return Ok(Arc::clone(other));
        }
        ledgers.push(Arc::clone(&ledger));
        Ok(ledger)
    }

    fn new_page(&self) -> io::Result<Page> {
        for _ in 0..ATTEMPTS {
            match self.make_kept_directory() {
                Err(error) if self.recover(&error, true) => self.make_kept_directory()?,
                other => other?,
            }
            let name = CString::new(Key::fresh().as_str())?;
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_APPEND;
            let kept = self.kept()?;
            let file = system::open_at(kept.as_raw_fd(), &name, flags, 0o600)?;
            if system::claim(file.as_raw_fd())? && system::stat(file.as_raw_fd())?.st_nlink > 0 {
                return Ok(Page {
                    name,
                    file: File::from(file),
                    len: 0,
                    compacted_from: COMPACTED_FROM,
                });
            }
        }
        Err(io::Error::other(
            "the ledger of this process was removed again and again",
        ))
    }

    fn kept(&self) -> io::Result<OwnedFd> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        system::open_at(self.fd(), KEPT_DIRECTORY, flags, 0)
    }

    /// Carries over what is still there. Whoever dies in the middle leaves both pages.
    fn compact(&self, page: &mut Page) -> io::Result<()> {
        let keys = keys_in(&page.read()?);
        let alive: Vec<_> = keys
            .into_iter()
            .filter(|key| self.contains(key).unwrap_or(true))
            .collect();
        let mut new = self.new_page()?;
        new.add(&alive)?;
        new.compacted_from = COMPACTED_FROM.max(2 * new.len);
        let old = mem::replace(page, new);
        system::absent_is(system::unlink_at(self.kept()?.as_raw_fd(), &old.name), ())
    }

    /// Removes what this process has noted here, as its end would.
    pub(crate) fn evict_bound(&self) -> Result<()> {
        let Some(ledger) = own(self.path()) else {
            return Ok(());
        };
        ledgers().lock().retain(|one| !Arc::ptr_eq(one, &ledger));
        let page = ledger.page.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = self.kept().and_then(|kept| {
            let keys = keys_in(&page.read()?);
            self.remove_all(&keys)?;
            system::unlink_at(kept.as_raw_fd(), &page.name)
        });
        system::absent_is(removed, ()).map_err(|error| {
            super::failure(
                self.kind(),
                error,
                "removing this process's objects",
                self.path(),
            )
        })
    }

    /// Removes the objects of processes that have ended.
    pub(super) fn sweep_ledgers(&self) -> io::Result<()> {
        let kept = self.kept()?;
        for name in entries(kept.as_raw_fd())? {
            // Opening our own and closing it again would give up its lock.
            if is_held_here(&name) {
                continue;
            }
            let flags = libc::O_RDWR | libc::O_NONBLOCK;
            let opened = system::open_at(kept.as_raw_fd(), &name, flags, 0);
            let Some(file) = system::absent_is(opened.map(Some), None)? else {
                continue;
            };
            if !system::claim(file.as_raw_fd())? || system::stat(file.as_raw_fd())?.st_nlink == 0 {
                continue;
            }
            let mut text = Vec::new();
            let mut file = File::from(file);
            file.read_to_end(&mut text)?;
            self.remove_all(&keys_in(&text))?;
            system::absent_is(system::unlink_at(kept.as_raw_fd(), &name), ())?;
        }
        Ok(())
    }

    fn remove_all(&self, keys: &[Key]) -> io::Result<()> {
        keys.iter()
            .try_for_each(|key| self.remove(key).map(drop))
            .map_err(io::Error::other)
    }
}

impl Page {
    fn add(&mut self, keys: &[Key]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(27 * keys.len());
        for key in keys {
            lines.extend_from_slice(key.as_str().as_bytes());
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        self.len += lines.len();
        Ok(())
    }

    /// All of it, through the one descriptor that may ever be closed.
    fn read(&self) -> io::Result<Vec<u8>> {
        let file = self.file.as_raw_fd();
        let len = usize::try_from(system::stat(file)?.st_size).unwrap_or_default();
        let mut text = vec![0; len];
        let got = std::os::unix::fs::FileExt::read_at(&self.file, &mut text, 0)?;
        text.truncate(got);
        Ok(text)
    }
}

fn is_held_here(name: &CString) -> bool {
    let ledgers = ledgers().lock();
    let generation = fork::generation();
    ledgers
        .iter()
        .filter(|ledger| ledger.generation == generation)
        .any(|ledger| {
            let page = ledger.page.lock().unwrap_or_else(PoisonError::into_inner);
            page.name == *name
        })
}

/// The keys of whole lines: what was noted in part was not put.
fn keys_in(text: &[u8]) -> Vec<Key> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = text[..whole].split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| Key::new(std::str::from_utf8(line).ok()?).ok())
        .collect()
}
