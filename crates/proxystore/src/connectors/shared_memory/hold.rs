//! Who is alive: every process that uses a session holds a POSIX record lock on its lock file.
//!
//! A record lock goes with its process, however that ends, and is not inherited: it is taken anew
//! in a forked child. It also goes when the process closes *any* descriptor of the file, so there
//! is one descriptor per session and process, in the table below, and nobody else opens such a
//! file. Locks of open file descriptions would outlive their process in a forked child.

use super::control::Control;
use super::fork_lock::ForkLock;
use super::sweep::LOCK_SUFFIX;
use crate::connectors::file::system::{self, claim};
use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A session that this process holds.
struct Entry {
    /// Of the lock file.
    path: PathBuf,
    file: OwnedFd,
    /// The lock file's device and inode, to know `file` by.
    identity: (u64, u64),
    control: Arc<Control>,
    /// Connectors that use it.
    count: usize,
    /// Made by this program: held until the process ends, whether a connector uses it or not.
    own: bool,
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    handles_forks: bool,
}

static TABLE: ForkLock<Table> = ForkLock::new(Table {
    entries: Vec::new(),
    handles_forks: false,
});

/// A share in this process's lock on a session.
pub(super) struct Hold {
    path: PathBuf,
    control: Arc<Control>,
}

/// Why a session cannot be held.
pub(super) enum Refusal {
    /// Nobody held it, so it was swept, or is being swept now.
    Gone,
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Hold {
    /// Makes a session's lock file and holds it, until the process ends. `Gone` if the name is
    /// taken, or a sweeper was faster than the lock: then another name is to be tried.
    pub(super) fn create(
        directory: RawFd,
        path: &Path,
        session: &str,
        limit: u64,
        spill: Option<&Path>,
    ) -> Result<Self, Refusal> {
        let (lock, path) = lock_file(path, session)?;
        let mut table = TABLE.lock();
        table.handle_forks();
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        let file = match system::open_at(directory, &lock, flags, 0o600) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Refusal::Gone);
            }
            other => other?,
        };
        if !share(file.as_raw_fd())? || system::stat(file.as_raw_fd())?.st_nlink == 0 {
            return Err(Refusal::Gone);
        }
        let control = Control::create(file.as_fd(), limit, spill).inspect_err(|_| {
            let _ = system::unlink_at(directory, &lock);
        })?;
        Ok(table.add(path, file, control, true)?)
    }

    /// Holds a session that is there.
    pub(super) fn join(directory: RawFd, path: &Path, session: &str) -> Result<Self, Refusal> {
        let (lock, path) = lock_file(path, session)?;
        let mut table = TABLE.lock();
        table.handle_forks();
        if let Some(hold) = table.again(&path) {
            return Ok(hold);
        }
        let file = match system::open_at(directory, &lock, libc::O_RDWR, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::Gone),
            other => other?,
        };
        // Whoever sweeps takes the lock for itself first, and then removes the name.
        if !share(file.as_raw_fd())? || system::stat(file.as_raw_fd())?.st_nlink == 0 {
            return Err(Refusal::Gone);
        }
        let control = Control::open(file.as_fd())?;
        Ok(table.add(path, file, control, false)?)
    }

    /// A session that this process, or the one it was forked from, made in a directory.
    pub(super) fn own_in(directory: &Path, fits: impl Fn(&Control) -> bool) -> Option<Self> {
        let mut table = TABLE.lock();
        let path = table
            .entries
            .iter()
            .find(|entry| {
                entry.own && entry.path.parent() == Some(directory) && fits(&entry.control)
            })
            .map(|entry| entry.path.clone())?;
        table.again(&path)
    }

    /// Takes the lock again if its descriptor was closed by somebody else.
    pub(super) fn renew(&self) {
        let mut table = TABLE.lock();
        let found = table
            .entries
            .iter_mut()
            .find(|entry| entry.path == self.path);
        if let Some(entry) = found {
            // If it fails, the session was swept: every use says so.
            let _ = entry.renew();
        }
    }

    pub(super) fn session_name(&self) -> &str {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str());
        stem.unwrap_or_default()
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let ended = {
            let mut table = TABLE.lock();
            let found = table
                .entries
                .iter()
                .position(|entry| entry.path == self.path);
            let Some(at) = found else { return };
            let entry = &mut table.entries[at];
            entry.count -= 1;
            if entry.count > 0 || entry.own {
                return;
            }
            // Closed under the lock: a join at the same time must open its own afterwards.
            let entry = table.entries.swap_remove(at);
            let ended = entry.end();
            entry.close();
            ended
        };
        if let Some(ended) = ended {
            ended.remove();
        }
    }
}

/// A session that nobody holds any more, and whose lock file is removed.
struct Ended {
    lock: PathBuf,
    spill_dir: Option<PathBuf>,
}

impl Ended {
    fn remove(self) {
        super::sweep::remove_objects(&self.lock, self.spill_dir.as_deref());
    }
}

impl Entry {
    /// Whether the descriptor is still the lock file's, and not some other file's of this number.
    fn is_sound(&self) -> bool {
        identity(&self.file).is_ok_and(|found| found == self.identity)
    }

    /// Takes the lock again where somebody closed its descriptor.
    fn renew(&mut self) -> Result<(), Refusal> {
        if self.is_sound() {
            return Ok(());
        }
        let path = system::c_path(&self.path)?;
        let file = system::open_at(libc::AT_FDCWD, &path, libc::O_RDWR, 0)?;
        if !share(file.as_raw_fd())? || identity(&file)? != self.identity {
            return Err(Refusal::Gone);
        }
        // The old number is not ours to close.
        mem::forget(mem::replace(&mut self.file, file));
        Ok(())
    }

    /// Takes the session away if no other process holds it.
    fn end(&self) -> Option<Ended> {
        let alone = self.is_sound() && claim(self.file.as_raw_fd()).unwrap_or(false);
        alone.then(|| {
            // The lock file first: whoever looks then sees a session that has ended.
            let _ = std::fs::remove_file(&self.path);
            Ended {
                lock: self.path.clone(),
                spill_dir: self.control.spill_dir(),
            }
        })
    }

    fn close(self) {
        if !self.is_sound() {
            mem::forget(self.file);
        }
    }
}

fn identity(file: &OwnedFd) -> io::Result<(u64, u64)> {
    let found = system::stat(file.as_raw_fd())?;
    Ok((found.st_dev, found.st_ino))
}

impl Table {
    fn add(
        &mut self,
        path: PathBuf,
        file: OwnedFd,
        control: Control,
        own: bool,
    ) -> io::Result<Hold> {
        let control = Arc::new(control);
        let identity = identity(&file)?;
        self.entries.push(Entry {
            path: path.clone(),
            file,
            identity,
            control: Arc::clone(&control),
            count: 1,
            own,
        });
        Ok(Hold { path, control })
    }

    fn again(&mut self, path: &Path) -> Option<Hold> {
        let entry = self.entries.iter_mut().find(|entry| entry.path == path)?;
        // A daemon may have closed every descriptor; if the session was swept since, it is gone.
        entry.renew().ok()?;
        entry.count += 1;
        Some(Hold {
            path: entry.path.clone(),
            control: Arc::clone(&entry.control),
        })
    }

    fn handle_forks(&mut self) {
        if !mem::replace(&mut self.handles_forks, true) {
            // SAFETY: the handlers are functions of this library, which is never unloaded.
            unsafe {
                libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child));
                libc::atexit(at_exit);
            }
        }
    }
}

extern "C" fn before_fork() {
    TABLE.take();
}

extern "C" fn after_fork() {
    // SAFETY: taken in `before_fork` by this thread.
    unsafe { TABLE.release() }
}

/// Only what is safe in a forked child: system calls, and reading what the fork copied.
extern "C" fn in_child() {
    // SAFETY: taken in `before_fork` by the thread that this process is a copy of; the borrow ends
    // before the release.
    unsafe {
        for entry in &TABLE.value().entries {
            // Refused only if every other holder died meanwhile and a sweeper came: then the
            // objects are gone, and each use says so.
            let _ = entry.is_sound() && share(entry.file.as_raw_fd()).unwrap_or(false);
        }
        TABLE.release();
    }
}

/// An orderly end of a session's last process leaves nothing for the next opener to sweep.
extern "C" fn at_exit() {
    let ended: Vec<_> = {
        let table = TABLE.lock();
        table.entries.iter().filter_map(Entry::end).collect()
    };
    ended.into_iter().for_each(Ended::remove);
}

/// Whether this process holds the session of a lock file.
pub(super) fn is_held_here(path: &Path) -> bool {
    TABLE.lock().entries.iter().any(|entry| entry.path == path)
}

/// Takes the session of a lock file away if no process holds it; gives where it spilled to.
pub(super) fn take_if_dead(
    directory: RawFd,
    name: &CStr,
    path: &Path,
) -> io::Result<Option<Option<PathBuf>>> {
    let table = TABLE.lock();
    if table.entries.iter().any(|entry| entry.path == path) {
        return Ok(None);
    }
    let file = system::open_at(directory, name, libc::O_RDWR, 0)?;
    if !claim(file.as_raw_fd())? || system::stat(file.as_raw_fd())?.st_nlink == 0 {
        return Ok(None);
    }
    let spill = Control::open(file.as_fd())
        .ok()
        .and_then(|control| control.spill_dir());
    system::unlink_at(directory, name)?;
    Ok(Some(spill))
}

/// Looks at a session's counters without holding it.
pub(super) fn inspect<R>(
    directory: RawFd,
    name: &CStr,
    path: &Path,
    look: impl FnOnce(&Control) -> R,
) -> io::Result<R> {
    let table = TABLE.lock();
    if let Some(entry) = table.entries.iter().find(|entry| entry.path == path) {
        return Ok(look(&entry.control));
    }
    // Opened and closed under the lock: no connector of this process holds it meanwhile.
    let file = system::open_at(directory, name, libc::O_RDWR, 0)?;
    Ok(look(&Control::open(file.as_fd())?))
}

/// The lock file of a session: its name and its path.
fn lock_file(directory: &Path, session: &str) -> io::Result<(CString, PathBuf)> {
    let name = format!("{session}{LOCK_SUFFIX}");
    let path = directory.join(&name);
    Ok((system::c_path(Path::new(&name))?, path))
}

/// Holds beside others; false if somebody has claimed the file.
fn share(file: RawFd) -> io::Result<bool> {
    system::record_lock(file, libc::F_RDLCK)
}
