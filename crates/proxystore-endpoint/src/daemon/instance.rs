//! One daemon for each folder, and what it says of itself there.

use crate::client::{RUN_FILE, Running, TOKEN_FILE};
use crate::secret_file;
use proxystore::{Error, ErrorKind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file with the daemon's process, as ProxyStore 1.1 has it.
const PID_FILE: &str = "daemon.pid";
const LOCK_FILE: &str = "daemon.lock";

/// How often a daemon shows that it lives, for hosts that its lock does not reach.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// Without such a sign for so long, a daemon of another host counts as dead.
const SILENT: Duration = Duration::from_secs(45);

/// The hold on a folder; given up when dropped, or when the process ends however it does.
#[derive(Debug)]
pub(super) struct Instance {
    dir: PathBuf,
    _lock: File,
}

impl Instance {
    /// Takes the folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with who runs where, if another daemon has it.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let failed = |error| Error::io(error, format!("locking {}", path.display()));
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&path).map_err(failed)?;
        let held = match set_lock(&lock) {
            Ok(()) => false,
            // File systems without locks: the signs of life below have to do.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOLCK | libc::ENOSYS)) => {
                false
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => true,
            Err(error) => return Err(failed(error)),
        };
        let running = Running::read(dir);
        if held {
            return Err(runs_already(running.as_ref()));
        }
        if let Some(other) = running
            && !other.is_here()
            && is_fresh(dir, &lock)
        {
            return Err(runs_already(Some(&other)));
        }
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// Says where this daemon is.
    pub(super) fn announce(&self, running: &Running) -> Result<()> {
        write_private(&self.dir.join(PID_FILE), &format!("{}\n", running.pid))?;
        write_private(&self.dir.join(RUN_FILE), &running.to_text())
    }

    /// Shows that it lives.
    pub(super) fn beat(&self) {
        if let Ok(file) = OpenOptions::new()
            .append(true)
            .open(self.dir.join(RUN_FILE))
        {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        forget(&self.dir);
    }
}

/// Locks the whole file; unlike locks of a process, this one is not lost by closing another
/// descriptor of it, and over NFS it is held against other hosts.
fn set_lock(file: &File) -> io::Result<()> {
    // SAFETY: zero is a sound value of every field.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    // SAFETY: the lock is described by memory that lives as long as the call.
    let set = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the run file was touched lately, by the clock of the file server: both times are its.
fn is_fresh(dir: &Path, lock: &File) -> bool {
    let now = lock
        .set_modified(std::time::SystemTime::now())
        .and_then(|()| lock.metadata()?.modified());
    let then = fs::metadata(dir.join(RUN_FILE)).and_then(|data| data.modified());
    match (now, then) {
        (Ok(now), Ok(then)) => now.duration_since(then).unwrap_or_default() < SILENT,
        _ => false,
    }
}

/// Whether a daemon has the folder, on this host or on one that its lock reaches.
pub(crate) fn is_held(dir: &Path) -> bool {
    OpenOptions::new()
        .write(true)
        .open(dir.join(LOCK_FILE))
        .is_ok_and(|lock| set_lock(&lock).is_err())
}

/// Removes what a daemon that was killed left behind.
pub(crate) fn forget(dir: &Path) {
    for name in [PID_FILE, RUN_FILE] {
        let _ = fs::remove_file(dir.join(name));
    }
}

fn runs_already(running: Option<&Running>) -> Error {
    let words = match running {
        Some(running) => format!(
            "the endpoint {} runs already: process {} on {}, since {}; stop it there with \
             `proxystore-endpoint stop {}`",
            running.name,
            running.pid,
            running.host,
            crate::log::timestamp(std::time::UNIX_EPOCH + Duration::from_secs(running.started)),
            running.name,
        ),
        None => "another process is starting or stopping this endpoint".to_owned(),
    };
    Error::new(ErrorKind::InvalidConfig, words)
}

/// Replaces a file that only its owner may read, in one step.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let failed = |error| Error::io(error, format!("writing {}", path.display()));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

/// The secret of clients that come over TCP, made when it is first needed.
pub(super) fn token(dir: &Path) -> Result<String> {
    let path = dir.join(TOKEN_FILE);
    if path.exists() {
        match secret_file::read(&path, "token file of the endpoint") {
            Ok(token) if token.len() >= 32 => return Ok(token),
            // Cut off when it was written: nobody knows it.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidConfig => {}
            Err(error) => return Err(error),
        }
    }
    let mut random = [0_u8; 32];
    // The C library of 2012 has no function of that name.
    // SAFETY: the pointer and length describe the array.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, random.as_mut_ptr(), random.len(), 0) };
    if got != random.len() as libc::c_long {
        return Err(Error::io(io::Error::last_os_error(), "drawing a token"));
    }
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(&path, &format!("{token}\n"))?;
    Ok(token)
}
