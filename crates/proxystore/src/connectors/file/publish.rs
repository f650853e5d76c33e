//! Writing: how an object comes to be seen, whole, under its name.

use super::directory::{Directory, RESERVED_PREFIX};
use super::file_system::FileSystem;
use super::huge;
use super::lease;
use super::recycle::{self, Claim};
use super::system::{self, Name, Vectors};
use crate::{Key, Payload, Result};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Framed objects shorter than this are written under their name at once: 6.6 µs for 100 bytes on
/// tmpfs against 9.4 µs by an unnamed file and a link. Nobody has the key before the write is
/// done, and a file that a dying writer left short is seen by its frame's header.
pub(crate) const UNNAMED_FROM: usize = 64 << 10;

/// Unnamed files get their name by descriptor alone: 9.4 µs.
const BY_DESCRIPTOR: u8 = 0;
/// Older kernels allow that to root only; the link in `/proc` serves all: 11.7 µs.
const BY_PROC: u8 = 1;
/// No unnamed files (NFS, older overlayfs): a temporary name, then renamed. A writer that dies
/// leaves the temporary file, which `close` with `clear` removes.
const BY_RENAME: u8 = 2;

impl Directory {
    /// Stores an object under a name that is new and that nobody knows yet; gives by how many
    /// bytes what is kept of evicted objects has grown.
    pub(crate) fn publish_fresh(&self, key: &Key, payload: &Payload<'_>) -> Result<i64> {
        if payload.lease().is_some() {
            return self.publish_leased(key, payload);
        }
        let name = self.name(key)?;
        let publish = || {
            if payload.is_framed() && payload.len() < UNNAMED_FROM {
                self.write_direct(&name, payload).map(|()| 0)
            } else {
                self.write_then_name(&name, payload, false)
            }
        };
        self.publish(publish)
            .map_err(|error| self.error(error, "storing an object", key))
    }

    /// Stores an object under a name that others may know, replacing what is there; gives what
    /// [`publish_fresh`](Self::publish_fresh) gives.
    pub(crate) fn publish_over(&self, key: &Key, payload: &Payload<'_>) -> Result<i64> {
        if payload.lease().is_some() {
            let grown = self.publish_leased(key, payload)?;
            // The ordinary file, if there is one, hides the other until it goes.
            let name = self.name(key)?;
            return system::absent_is(system::unlink_at(self.fd(), name.as_c_str()), ())
                .map(|()| grown)
                .map_err(|error| self.error(error, "replacing an object", key));
        }
        let name = self.name(key)?;
        self.publish(|| {
            let grown = self.write_then_name(&name, payload, true)?;
            self.remove_leased(key).map(|_| grown)
        })
        .map_err(|error| self.error(error, "storing an object", key))
    }

    fn publish_leased(&self, key: &Key, payload: &Payload<'_>) -> Result<i64> {
        let name = self.leased_name(key)?;
        self.publish(|| {
            let grown = self.write_then_name(&name, payload, true)?;
            self.make_kept_directory().map(|()| grown)
        })
        .map_err(|error| self.error(error, "storing an object", key))
    }

    fn publish(&self, write: impl Fn() -> io::Result<i64>) -> io::Result<i64> {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let dropped = recycle::empty(self.fd());
                if dropped == 0 {
                    return Err(error);
                }
                write().map(|grown| grown - dropped as i64)
            }
            Err(error) if self.recover(&error, true) => write(),
            other => other,
        }
    }

    fn write_direct(&self, name: &Name, payload: &Payload<'_>) -> io::Result<()> {
        let name = name.as_c_str();
        let file = self.create_named(name)?;
        let written = Vectors::new(payload.pieces()).write_to(&file);
        self.finish(file, name, written)
    }

    fn create_named(&self, name: &CStr) -> io::Result<OwnedFd> {
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
        system::open_at(self.fd(), name, flags, self.file_mode())
    }

    /// Closes a file that has a name, and removes it again if anything went wrong.
    fn finish(&self, file: OwnedFd, name: &CStr, written: io::Result<()>) -> io::Result<()> {
        let closed = system::close(file);
        written.and(closed).inspect_err(|_| {
            // The first error says more than a second one from here.
            let _ = system::unlink_at(self.fd(), name);
        })
    }

    fn write_then_name(
        &self,
        name: &Name,
        payload: &Payload<'_>,
        replace: bool,
    ) -> io::Result<i64> {
        let name = name.as_c_str();
        if let Some(claim) = self.claim(payload.len()) {
            let taken = claim.taken as i64;
            match self.overwrite(claim, name, payload) {
                // Somebody cleared the directory meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other.map(|()| -taken),
            }
        }
        self.write_new(name, payload, replace).map(|()| 0)
    }

    /// Fills a recycled file and names it.
    fn overwrite(&self, claim: Claim, name: &CStr, payload: &Payload<'_>) -> io::Result<()> {
        let Claim {
            file,
            name: claimed,
            existing,
            ..
        } = claim;
        self.fill(&file, payload, existing)
            .and_then(|()| date(&file, payload))
            .and_then(|()| system::rename_at(self.fd(), &claimed, name))
            .inspect_err(|_| {
                let _ = system::unlink_at(self.fd(), &claimed);
            })?;
        system::close(file)
    }

    fn write_new(&self, name: &CStr, payload: &Payload<'_>, replace: bool) -> io::Result<()> {
        if self.naming.load(Ordering::Relaxed) != BY_RENAME {
            match self.create_unnamed()? {
                Some(file) => {
                    self.fill(&file, payload, 0)?;
                    date(&file, payload)?;
                    if self.link_or_replace(&file, name, replace)? {
                        return system::close(file);
                    }
                }
                None => self.naming.store(BY_RENAME, Ordering::Relaxed),
            }
        }
        let temporary = temporary_name();
        let file = self.create_named(&temporary)?;
        let written = Vectors::new(payload.pieces()).write_to(&file);
        let written = written.and_then(|()| date(&file, payload));
        self.finish(file, &temporary, written)?;
        self.rename(&temporary, name)
    }

    fn rename(&self, temporary: &CStr, name: &CStr) -> io::Result<()> {
        system::rename_at(self.fd(), temporary, name).inspect_err(|_| {
            let _ = system::unlink_at(self.fd(), temporary);
        })
    }

    /// A file without a name, or `None` where there are none: it goes with its last descriptor, so
    /// a writer that dies leaves nothing.
    fn create_unnamed(&self) -> io::Result<Option<OwnedFd>> {
        if self.file_system() == FileSystem::Network {
            return Ok(None);
        }
        let flags = libc::O_TMPFILE | libc::O_RDWR;
        match system::open_at(self.fd(), c".", flags, self.file_mode()) {
            Ok(file) => Ok(Some(file)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Writes a whole object to a file that has `existing` bytes, whatever they are.
    fn fill(&self, file: &OwnedFd, payload: &Payload<'_>, existing: usize) -> io::Result<()> {
        let mut rest = Vectors::new(payload.pieces());
        if self.file_system() == FileSystem::Memory && payload.len() >= huge::JOINED_FROM {
            rest.advance(huge::fill(file, payload, existing, &self.joining)?);
        }
        rest.write_to(file)
    }

    /// Names an unnamed file; false where that cannot be done.
    fn link_or_replace(&self, file: &OwnedFd, name: &CStr, replace: bool) -> io::Result<bool> {
        match self.link(file, name) {
            Err(error) if replace && error.raw_os_error() == Some(libc::EEXIST) => {
                let temporary = temporary_name();
                if !self.link(file, &temporary)? {
                    return Ok(false);
                }
                self.rename(&temporary, name).map(|()| true)
            }
            other => other,
        }
    }

    fn link(&self, file: &OwnedFd, name: &CStr) -> io::Result<bool> {
        let directory = self.fd();
        if self.naming.load(Ordering::Relaxed) == BY_DESCRIPTOR {
            // SAFETY: both names end with a zero byte.
            let linked = system::retry(|| unsafe {
                libc::linkat(
                    file.as_raw_fd(),
                    c"".as_ptr(),
                    directory,
                    name.as_ptr(),
                    libc::AT_EMPTY_PATH,
                )
            });
            match linked {
                Ok(_) => return Ok(true),
                // What a kernel says that does not allow it, or does not know it; a directory
                // that was removed gives the same, and then the next way fails as well.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ENOENT | libc::EINVAL | libc::EPERM)
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        // SAFETY: both names end with a zero byte.
        let linked = system::retry(|| unsafe {
            libc::linkat(
                libc::AT_FDCWD,
                path.as_ptr().cast(),
                directory,
                name.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            )
        });
        match linked {
            Ok(_) => {
                self.naming.store(BY_PROC, Ordering::Relaxed);
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Err(error),
            // The directory is gone: that is the caller's to mend.
            Err(error) if system::stat(directory).is_ok_and(|found| found.st_nlink == 0) => {
                Err(error)
            }
            // No `/proc`, or no links on this file system.
            Err(_) => {
                self.naming.store(BY_RENAME, Ordering::Relaxed);
                Ok(false)
            }
        }
    }
}

/// Writes the end of a lease, before the file has its name.
fn date(file: &OwnedFd, payload: &Payload<'_>) -> io::Result<()> {
    match payload.lease() {
        Some(lease) => lease::set_end(file.as_raw_fd(), lease),
        None => Ok(()),
    }
}

/// A name that no key has.
fn temporary_name() -> CString {
    let name = format!("{RESERVED_PREFIX}{}", Key::fresh());
    CString::new(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;
    use crate::blob::{Buffer, Mapping};
    use crate::connectors::file::footprint;
    use std::path::PathBuf;

    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            Self(PathBuf::from(format!(
                "/dev/shm/proxystore-test-{}",
                Key::fresh()
            )))
        }

        fn open(&self) -> Directory {
            Directory::create(&self.0, "file").unwrap()
        }

        fn count(&self) -> usize {
            std::fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Fresh keys, keys set twice, from both sides of the threshold, leave the objects and no more.
    fn try_all(directory: &Directory, place: &Place) {
        for len in [10, UNNAMED_FROM, 5 << 20, (10 << 20) - 77_777] {
            let (one, two) = (vec![1; len], vec![2; len]);
            let (fresh, known) = (Key::fresh(), Key::fresh());
            directory
                .publish_fresh(&fresh, &Payload::from_bytes(&one))
                .unwrap();
            directory
                .publish_over(&known, &Payload::from_bytes(&one))
                .unwrap();
            directory
                .publish_over(&known, &Payload::from_bytes(&two))
                .unwrap();
            let get = |key| directory.fetch(key, Access::Auto).unwrap().unwrap();
            assert!(get(&fresh)[..] == one[..]);
            assert!(get(&known)[..] == two[..]);
            assert_eq!(place.count(), 2);
            let gone = [&fresh, &known].map(|key| directory.remove(key).unwrap());
            assert!(gone.iter().all(Option::is_some));
            directory.remove_recycled();
        }
    }

    #[test]
    fn every_way_of_naming_publishes_whole_objects() {
        for naming in [BY_DESCRIPTOR, BY_PROC, BY_RENAME] {
            let place = Place::new();
            let directory = place.open();
            directory.naming.store(naming, Ordering::Relaxed);
            try_all(&directory, &place);
            assert_eq!(directory.naming.load(Ordering::Relaxed), naming);
        }
    }

    #[test]
    fn where_pages_cannot_be_joined_they_are_written() {
        let place = Place::new();
        let directory = place.open();
        directory.joining.store(1, Ordering::Relaxed);
        try_all(&directory, &place);
    }

    #[test]
    fn an_object_takes_no_more_than_is_counted() {
        let place = Place::new();
        let directory = place.open();
        for len in [1, 5 << 20, (10 << 20) - 77_777, 10 << 20, (10 << 20) + 1] {
            let key = Key::fresh();
            directory
                .publish_fresh(&key, &Payload::from_bytes(&vec![1; len]))
                .unwrap();
            let name = directory.name(&key).unwrap();
            let found = system::stat_at(directory.fd(), name.as_c_str()).unwrap();
            assert_eq!(found.st_size as usize, len);
            assert!(found.st_blocks as u64 * 512 <= footprint(len as u64));
        }
    }

    #[test]
    fn a_network_is_never_mapped() {
        let place = Place::new();
        let directory = place.open().pretending(FileSystem::Network);
        try_all(&directory, &place);
        assert_eq!(directory.naming.load(Ordering::Relaxed), BY_RENAME);
        let key = Key::fresh();
        directory
            .publish_fresh(&key, &Payload::from_bytes(&[3; 9 << 20]))
            .unwrap();
        for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
            let blob = directory.fetch(&key, access).unwrap().unwrap();
            assert!(blob.region().as_any().is::<Buffer>(), "{access:?}");
        }
        let local = place.open().fetch(&key, Access::Auto).unwrap().unwrap();
        assert!(local.region().as_any().is::<Mapping>());
    }

    #[test]
    fn a_temporary_file_of_a_writer_that_died_is_cleared() {
        let place = Place::new();
        let directory = place.open();
        drop(directory.create_named(&temporary_name()).unwrap());
        assert_eq!(place.count(), 1);
        directory.clear().unwrap();
        assert!(!place.0.exists());
    }
}
