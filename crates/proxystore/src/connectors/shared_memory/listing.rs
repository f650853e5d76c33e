//! Which sessions there are on this machine, and who holds them.

use super::locks::RecordLocks;
use super::roots::{Root, fail};
use super::{DIR_VARIABLE, Usage, hold, origin, path_variable, sweep};
use crate::Result;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A session of this user, alive or waiting to be swept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Its name.
    pub name: String,
    /// Where its objects are.
    pub dir: PathBuf,
    /// What it holds.
    pub usage: Usage,
    /// The processes that keep it alive; if there are none, the next opener removes it.
    pub holders: Vec<Holder>,
}

/// A process that keeps a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When the process began, if the system tells.
    pub since: Option<SystemTime>,
}

/// This user's sessions below `dir`, by default `$PROXYSTORE_SHM_DIR` or `/dev/shm`. Nothing is
/// swept.
///
/// # Errors
/// If the directory cannot be read.
///
/// ```
/// use proxystore::connectors::shared_memory;
///
/// for session in shared_memory::sessions(None)? {
///     println!("{} {} bytes", session.name, session.usage.used);
/// }
/// # Ok::<(), proxystore::Error>(())
/// ```
pub fn sessions(dir: Option<&Path>) -> Result<Vec<SessionStatus>> {
    let dir = dir
        .map(Path::to_owned)
        .or_else(|| path_variable(DIR_VARIABLE));
    let dir = dir.unwrap_or_else(|| super::SHARED_MEMORY.into());
    let Some(root) = Root::open(&dir, origin::user())? else {
        return Ok(Vec::new());
    };
    let listed = |error| fail(error, "listing the sessions", root.path());
    let locks = RecordLocks::read();
    let mut found = Vec::new();
    for (name, path) in sweep::locks(&root).map_err(listed)? {
        let Ok(lock) = CString::new(format!("{name}{}", sweep::LOCK_SUFFIX)) else {
            continue;
        };
        let Ok(usage) = hold::inspect(root.fd(), &lock, &path, Usage::of) else {
            continue; // swept meanwhile
        };
        found.push(SessionStatus {
            dir: root.path().join(&name),
            name,
            usage,
            holders: locks.holders(&path).into_iter().map(holder).collect(),
        });
    }
    Ok(found)
}

fn holder(pid: u32) -> Holder {
    Holder {
        pid,
        since: began(pid),
    }
}

fn began(pid: u32) -> Option<SystemTime> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    let ticks: u64 = after_name.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let boot: u64 = boot.trim().parse().ok()?;
    // SAFETY: no more than a number comes back.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    let since_boot = Duration::from_millis(ticks * 1000 / per_second.max(1));
    Some(UNIX_EPOCH + Duration::from_secs(boot) + since_boot)
}
