//! Reading: an object as memory.

use super::directory::Directory;
use super::file_system::FileSystem;
use super::lease::is_alive;
use super::recycle::RECYCLED_FROM;
use super::system::{self, Name};
use crate::blob::{Buffer, Mapping};
use crate::{Access, Blob, Error, ErrorKind, Key, Result};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// What the first read takes, into the stack: a file that fits needs no `fstat`, and its length
/// chooses the buffer.
const FIRST_READ: usize = 16 << 10;

/// On tmpfs, in pages of 4 kB: get + sum of 4 MB costs 311 µs by reading into a warm buffer and
/// 522 µs through a mapping, of 16 MB 2.6 and 2.7 ms; get alone 244 and 18 µs.
const MAPPED_FROM_IN_MEMORY: usize = 4 << 20;

/// Where the page cache has large folios (ext4, xfs), or tmpfs huge pages: get + sum of 1 MB costs
/// 46 and 44 µs, of 4 MB 175 and 229, of 16 MB 1567 and 922; get alone is always cheaper mapped.
const MAPPED_FROM_ON_DISK: usize = 1 << 20;

/// When a mapping is asked for: below, a read costs no more than the mapping alone (64 kB: 6.9 and
/// 9.1 µs).
const MAPPED_FROM_ON_REQUEST: usize = 64 << 10;

/// How often a file is opened again that was replaced in the very moment; nobody replaces one so
/// fast so often.
const OPENINGS: usize = 10_000;

impl Directory {
    /// The object under a key.
    pub(crate) fn fetch(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        // Without a bound nothing is declined.
        Ok(self.fetch_up_to(usize::MAX, key, access)?.flatten())
    }

    /// The object under a key, if there is one; declines, with an outer `None`, to read more than
    /// `most` bytes. Mapping takes as long for any length.
    pub(crate) fn fetch_up_to(
        &self,
        most: usize,
        key: &Key,
        access: Access,
    ) -> Result<Option<Option<Blob>>> {
        let name = self.name(key)?;
        // NONBLOCK: a pipe that somebody put there must not make us wait.
        let flags = libc::O_RDONLY | libc::O_NONBLOCK;
        let open = || system::open_at(self.fd(), name.as_c_str(), flags, 0);
        for _ in 0..OPENINGS {
            let opened = match self.look(open) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_leased(key),
                opened => opened.map(|file| Some((file, None))),
            };
            let (file, leased) = match opened {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Some(None)),
                // Evicted, and looked at by who wants its pages: it has another name by now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => return Err(self.error(error, "opening an object", key)),
            };
            let name = leased.as_ref().unwrap_or(&name);
            match self.load(&file, name.as_c_str(), most, access) {
                Ok(loaded) => return Ok(loaded.map(Some)),
                Err(Fault::Renamed) => {}
                Err(fault) => return Err(self.fault(fault, key)),
            }
        }
        let error = io::Error::from_raw_os_error(libc::EBUSY);
        Err(self.error(error, "opening an object", key))
    }

    /// The file of an object with a lease that has not ended, and its name.
    fn open_leased(&self, key: &Key) -> io::Result<Option<(OwnedFd, Option<Name>)>> {
        let Some(name) = self.leased(key) else {
            return Ok(None);
        };
        let flags = libc::O_RDONLY | libc::O_NONBLOCK;
        let opened = system::open_at(self.fd(), name.as_c_str(), flags, 0);
        let Some(file) = system::absent_is(opened.map(Some), None)? else {
            return Ok(None);
        };
        Ok(is_alive(&system::stat(file.as_raw_fd())?).then_some((file, Some(name))))
    }

    fn fault(&self, fault: Fault, key: &Key) -> Error {
        let promised = match fault {
            Fault::Renamed => {
                let gone = io::ErrorKind::NotFound.into();
                return self.error(gone, "reading an object", key);
            }
            Fault::System(error) => return self.error(error, "reading an object", key),
            Fault::CutShort { had, promised } => format!("{had} of {promised}"),
        };
        let dir = self.path().display();
        let message = format!(
            "the file in {dir} was cut short by another program while it was read: {promised} bytes are left"
        );
        Error::new(ErrorKind::InvalidFrame, message).with_key(key)
    }

    fn load(
        &self,
        file: &OwnedFd,
        name: &CStr,
        most: usize,
        access: Access,
    ) -> Result<Option<Blob>, Fault> {
        // Not zeroed first: that would cost a quarter of a small get.
        let mut first = [MaybeUninit::uninit(); FIRST_READ];
        let mut begin: &[u8] = &[];
        // Over a network a short read does not say that the file ends there. Where the last object
        // was mapped, this one is likely to be, too, and reading its front would be in vain.
        if self.file_system().is_local() && !self.last_was_mapped.load(Ordering::Relaxed) {
            begin = read_once(file, &mut first)?;
            // A pipe that nobody writes to looks empty.
            if (1..FIRST_READ).contains(&begin.len()) {
                return Ok(Some(Blob::copy_from(begin)));
            }
        }
        let found = system::stat(file.as_raw_fd())?;
        if found.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(io::Error::other("it is no regular file").into());
        }
        let len = usize::try_from(found.st_size)
            .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
        if self.file_system() == FileSystem::Memory && len as u64 >= RECYCLED_FROM {
            // After opening: see `recycle` for why that is enough.
            let named = system::absent_is(system::stat_at(self.fd(), name).map(Some), None)?;
            if named
                .is_none_or(|named| (named.st_dev, named.st_ino) != (found.st_dev, found.st_ino))
            {
                return Err(Fault::Renamed);
            }
        }
        let maps = len >= self.mapped_from(access);
        if self.last_was_mapped.load(Ordering::Relaxed) != maps {
            self.last_was_mapped.store(maps, Ordering::Relaxed);
        }
        if maps {
            let mapped = match access {
                Access::View => Mapping::read_only(file.as_fd(), len),
                _ => Mapping::private(file.as_fd(), len),
            };
            // Limits (`RLIMIT_DATA`, `RLIMIT_AS`, `vm.max_map_count`) are no reason to fail.
            if let Ok(mapping) = mapped {
                return Ok(Some(Blob::new(mapping)));
            }
        }
        if len > most {
            return Ok(None);
        }
        let Some(mut buffer) = Buffer::try_with_len(len) else {
            return self.last_resort(file, len).map(Some);
        };
        let have = begin.len().min(len);
        buffer[..have].copy_from_slice(&begin[..have]);
        let got = have + system::read_at(file, &mut buffer[have..], have)?;
        if got < len {
            return Err(Fault::CutShort {
                had: got,
                promised: len,
            });
        }
        Ok(Some(Blob::new(buffer)))
    }

    /// No private memory to be had: shared pages, which can only be read, need none.
    fn last_resort(&self, file: &OwnedFd, len: usize) -> Result<Blob, Fault> {
        if self.file_system().is_local() {
            Ok(Blob::new(Mapping::read_only(file.as_fd(), len)?))
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOMEM).into())
        }
    }

    /// From which length on a file is mapped instead of read.
    fn mapped_from(&self, access: Access) -> usize {
        match (self.file_system(), access) {
            (FileSystem::Network, _) | (_, Access::Copy) => usize::MAX,
            (_, Access::Cow | Access::View) => MAPPED_FROM_ON_REQUEST,
            (FileSystem::Memory, Access::Auto) => MAPPED_FROM_IN_MEMORY,
            (FileSystem::Disk, Access::Auto) => MAPPED_FROM_ON_DISK,
        }
    }
}

/// Why a file could not be read.
enum Fault {
    System(io::Error),
    /// The name leads to another file by now, or to none.
    Renamed,
    CutShort {
        had: usize,
        promised: usize,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Reads from the front of a file as much as one call gives.
fn read_once<'a>(file: &OwnedFd, target: &'a mut [MaybeUninit<u8>]) -> io::Result<&'a [u8]> {
    loop {
        // SAFETY: pointer and length describe `target`.
        let got = unsafe { libc::read(file.as_raw_fd(), target.as_mut_ptr().cast(), target.len()) };
        if let Ok(got) = usize::try_from(got) {
            // SAFETY: the kernel has written these bytes.
            return Ok(unsafe { std::slice::from_raw_parts(target.as_ptr().cast(), got) });
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    /// Who resolved a name before the object was evicted, and opened the file afterwards.
    #[test]
    fn a_reader_that_comes_late_does_not_take_what_it_opened() {
        let path = format!("/dev/shm/proxystore-test-{}", Key::fresh());
        let directory = Directory::create(path.as_ref(), "file").unwrap();
        let put = |byte| {
            let key = Key::fresh();
            let bytes = vec![byte; 5 << 20];
            let payload = Payload::from_bytes(&bytes);
            directory.publish_fresh(&key, &payload).unwrap();
            key
        };
        let key = put(1);
        let name = directory.name(&key).unwrap();
        let open = || system::open_at(directory.fd(), name.as_c_str(), libc::O_RDONLY, 0);
        let file = open().unwrap();
        let load = || directory.load(&file, name.as_c_str(), usize::MAX, Access::Auto);
        assert!(matches!(load(), Ok(Some(_))));
        directory.remove(&key).unwrap();
        assert!(matches!(load(), Err(Fault::Renamed)));
        // Nor if there is another object under the key by now.
        let other = Payload::from_bytes(&[2; 5 << 20]);
        directory.publish_over(&key, &other).unwrap();
        assert!(matches!(load(), Err(Fault::Renamed)));
        let found = directory.fetch(&key, Access::Auto).unwrap().unwrap();
        assert!(found[..] == [2; 5 << 20]);
        directory.clear_all().unwrap();
    }
}
