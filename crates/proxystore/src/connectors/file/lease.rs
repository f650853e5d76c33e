//! Objects that may be read until a time, and are swept after it.
//!
//! Such an object's file has a name of its own, which is looked for only where there is no ordinary
//! file of its key, and the time of its last change is its end: so leases cost ordinary objects
//! nothing. An empty directory says that there may be some, for whoever opens the place next.

use super::clear::entries;
use super::directory::{Directory, RESERVED_PREFIX, failure};
use super::system::{self, Name};
use crate::{Error, ErrorKind, Key, Result};
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the file name of an object with a lease begins with, before its key.
pub(super) const LEASED_PREFIX: &str = ".proxystore-lease-";
/// The directory that says that there may be objects to sweep; it holds the ledgers, too.
pub(super) const KEPT_DIRECTORY: &CStr = c".proxystore-kept";

/// Ends further off than this are as good as none (and file systems may not hold them).
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Directory {
    /// Lets an object live for so long from now; false if there is none.
    pub(crate) fn touch(&self, key: &Key, lease: Duration) -> Result<bool> {
        let (name, leased) = (self.name(key)?, self.leased_name(key)?);
        let touched = || {
            self.make_kept_directory()?;
            match set_end_at(self.fd(), leased.as_c_str(), lease) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    set_end_at(self.fd(), name.as_c_str(), lease)?;
                    system::rename_at(self.fd(), name.as_c_str(), leased.as_c_str())
                }
                other => other,
            }
        };
        // One that has ended is gone, though nobody has swept it yet.
        if !self.contains(key)? {
            return Ok(false);
        }
        system::absent_is(self.look(touched).map(|()| true), false)
            .map_err(|error| self.error(error, "extending a lease", key))
    }

    /// The name of an object with a lease.
    pub(super) fn leased_name(&self, key: &Key) -> Result<Name> {
        self.leased(key).ok_or_else(|| {
            let most = 255 - LEASED_PREFIX.len();
            let message = format!("a key of more than {most} bytes cannot have a lease");
            Error::new(ErrorKind::InvalidKey, message)
                .with_connector(self.kind())
                .with_key(key)
        })
    }

    /// The same; `None` if no file can have it.
    pub(super) fn leased(&self, key: &Key) -> Option<Name> {
        let len = LEASED_PREFIX.len() + key.as_str().len();
        (len <= 255).then(|| Name::new(&format!("{LEASED_PREFIX}{}", key.as_str())))
    }

    /// What there is of an object with a lease that has not ended.
    pub(super) fn stat_leased(&self, key: &Key) -> io::Result<Option<libc::stat>> {
        let Some(name) = self.leased(key) else {
            return Ok(None);
        };
        let found = system::absent_is(system::stat_at(self.fd(), name.as_c_str()).map(Some), None)?;
        Ok(found.filter(is_alive))
    }

    /// Removes the file of an object with a lease; false if there is none.
    pub(super) fn remove_leased(&self, key: &Key) -> io::Result<bool> {
        let Some(name) = self.leased(key) else {
            return Ok(false);
        };
        let removed = system::unlink_at(self.fd(), name.as_c_str());
        system::absent_is(removed.map(|()| true), false)
    }

    /// Says that there may be something to sweep here.
    pub(super) fn make_kept_directory(&self) -> io::Result<()> {
        // SAFETY: the name ends with a zero byte.
        let made = system::retry(|| unsafe {
            libc::mkdirat(self.fd(), KEPT_DIRECTORY.as_ptr(), 0o700 | self.file_mode())
        });
        match made {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes the objects whose lease has ended, and those of processes that have ended.
    pub(crate) fn sweep(&self) -> Result<()> {
        if system::access_at(self.fd(), KEPT_DIRECTORY).is_err() {
            return Ok(());
        }
        let swept = self.sweep_ledgers().and_then(|()| self.sweep_leases());
        system::absent_is(swept, ())
            .map_err(|error| failure(self.kind(), error, "sweeping", self.path()))
    }

    fn sweep_leases(&self) -> io::Result<()> {
        for name in entries(self.fd())? {
            if !name.to_bytes().starts_with(LEASED_PREFIX.as_bytes()) {
                continue;
            }
            let found = system::absent_is(system::stat_at(self.fd(), &name).map(Some), None)?;
            if found.is_some_and(|found| !is_alive(&found)) {
                system::absent_is(system::unlink_at(self.fd(), &name), ())?;
            }
        }
        Ok(())
    }
}

/// The key of an object with a lease, by its file's name.
pub(super) fn key_of_leased(name: &str) -> Option<&str> {
    name.strip_prefix(LEASED_PREFIX)
}

/// Whether the lease of a file has not ended.
pub(super) fn is_alive(found: &libc::stat) -> bool {
    let now = since_epoch();
    let end = (found.st_mtime, found.st_mtime_nsec);
    end > (
        now.as_secs() as libc::time_t,
        libc::c_long::from(now.subsec_nanos() as i32),
    )
}

/// Sets the end of an open file's lease.
pub(super) fn set_end(file: RawFd, lease: Duration) -> io::Result<()> {
    let times = times(lease);
    // SAFETY: two times, alive during the call.
    system::retry(|| unsafe { libc::futimens(file, times.as_ptr()) }).map(drop)
}

fn set_end_at(directory: RawFd, name: &CStr, lease: Duration) -> io::Result<()> {
    let times = times(lease);
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: two times, alive during the call; the name ends with a zero byte.
    system::retry(|| unsafe { libc::utimensat(directory, name.as_ptr(), times.as_ptr(), flags) })
        .map(drop)
}

fn times(lease: Duration) -> [libc::timespec; 2] {
    let end = since_epoch() + lease.min(LONGEST);
    let omitted = libc::timespec {
        tv_sec: 0,
        tv_nsec: libc::UTIME_OMIT,
    };
    let end = libc::timespec {
        tv_sec: end.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(end.subsec_nanos() as i32),
    };
    [omitted, end]
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

const _: () = assert!(LEASED_PREFIX.len() > RESERVED_PREFIX.len());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Payload};
    use std::path::PathBuf;
    use std::thread::sleep;

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_secs(60);

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn place() -> (Place, Directory) {
        let path = PathBuf::from(format!("/dev/shm/proxystore-test-{}", Key::fresh()));
        let directory = Directory::create(&path, "file").unwrap();
        (Place(path), directory)
    }

    fn is_there(directory: &Directory, key: &Key) -> bool {
        let got = directory.fetch(key, Access::Auto).unwrap().is_some();
        assert_eq!(got, directory.contains(key).unwrap());
        got
    }

    #[test]
    fn an_object_is_there_until_its_lease_ends_and_swept_after_it() {
        let (place, directory) = place();
        for len in [10, 5 << 20] {
            let bytes = vec![1; len];
            let key = Key::fresh();
            let payload = Payload::from_bytes(&bytes).with_lease(LONG);
            directory.publish_fresh(&key, &payload).unwrap();
            assert!(is_there(&directory, &key));
            assert_eq!(directory.keys().unwrap(), std::slice::from_ref(&key));
            assert!(directory.touch(&key, SHORT).unwrap());
            sleep(2 * SHORT);
            assert!(!is_there(&directory, &key));
            assert!(directory.keys().unwrap().is_empty());
            assert!(!directory.touch(&key, LONG).unwrap(), "it has ended");
            let count = || std::fs::read_dir(&place.0).unwrap().count();
            assert_eq!(count(), 2, "the object and the mark");
            directory.sweep().unwrap();
            assert_eq!(count(), 1);
        }
        directory.clear().unwrap();
        assert!(!place.0.exists());
    }

    #[test]
    fn an_ordinary_object_can_get_a_lease_and_lose_it() {
        let (_place, directory) = place();
        let key = Key::fresh();
        let plain = Payload::from_bytes(b"plain");
        directory.publish_fresh(&key, &plain).unwrap();
        assert!(directory.touch(&key, SHORT).unwrap());
        directory.publish_over(&key, &plain).unwrap();
        sleep(2 * SHORT);
        assert!(is_there(&directory, &key), "set again without a lease");
        directory
            .publish_over(&key, &plain.clone().with_lease(LONG))
            .unwrap();
        assert!(is_there(&directory, &key));
        assert!(directory.remove(&key).unwrap().is_some());
        assert!(!is_there(&directory, &key) && directory.remove(&key).unwrap().is_none());
    }
}
