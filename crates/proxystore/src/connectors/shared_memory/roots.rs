//! The directories: one per user below shared memory, one per user below a place to spill to.

use super::origin::user;
use crate::connectors::file::{failure, system};
use crate::{Error, ErrorKind, Result};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A user's directory below a root that many users share, such as `/dev/shm`.
pub(super) struct Root {
    path: PathBuf,
    fd: OwnedFd,
    /// The file system's device number.
    mount: u64,
}

impl Root {
    /// `<root>/proxystore-<user>`, made if it is not there, for this user alone.
    pub(super) fn create(root: &Path) -> Result<Self> {
        let path = root.join(directory_name(user()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(fail(error, "making the directory", &path))
            }
            _ => Self::open(root, user())?.ok_or_else(|| {
                let gone = io::Error::from_raw_os_error(libc::ENOENT);
                fail(gone, "opening the directory", &path)
            }),
        }
    }

    /// The same of any user, or `None` if it is not there.
    pub(super) fn open(root: &Path, user: u32) -> Result<Option<Self>> {
        let path = root.join(directory_name(user));
        let open = || {
            let name = system::c_path(&path)?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let fd = system::open_at(libc::AT_FDCWD, &name, flags, 0)?;
            let found = system::stat(fd.as_raw_fd())?;
            io::Result::Ok((fd, found))
        };
        let (fd, found) = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A link, which is not followed, or a file.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
                return Err(planted(&path, "it is no directory"));
            }
            other => other.map_err(|error| fail(error, "opening the directory", &path))?,
        };
        if found.st_uid != user {
            let whose = format!("it belongs to user {}, not {user}", found.st_uid);
            return Err(planted(&path, &whose));
        }
        if found.st_mode & 0o077 != 0 {
            // SAFETY: only numbers go in.
            let made_private = system::retry(|| unsafe { libc::fchmod(fd.as_raw_fd(), 0o700) });
            made_private.map_err(|error| fail(error, "making private", &path))?;
        }
        Ok(Some(Self {
            path,
            fd,
            mount: found.st_dev,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn mount(&self) -> u64 {
        self.mount
    }
}

pub(super) fn directory_name(user: u32) -> String {
    format!("proxystore-{user}")
}

/// Makes a directory; false if the name is taken.
pub(super) fn make_at(directory: RawFd, name: &str) -> io::Result<bool> {
    let name = system::c_path(Path::new(name))?;
    // SAFETY: `name` ends with a zero byte.
    match system::retry(|| unsafe { libc::mkdirat(directory, name.as_ptr(), 0o700) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same below a path, whose last part is not followed if it is a link.
pub(super) fn make_in(path: &Path, name: &str) -> io::Result<bool> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let directory = system::open_at(libc::AT_FDCWD, &system::c_path(path)?, flags, 0)?;
    make_at(directory.as_raw_fd(), name)
}

pub(super) fn fail(error: io::Error, doing: &str, path: &Path) -> Error {
    failure(super::KIND, error, doing, path)
}

fn planted(path: &Path, why: &str) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{} cannot be trusted: {why}. Remove it, or name another place by {} or {}",
            path.display(),
            super::DIR_VARIABLE,
            super::SPILL_VARIABLE,
        ),
    )
    .with_connector(super::KIND)
}

/// Where to spill to when nobody says: the usual places for temporary files, those on a disk first.
pub(super) fn default_spill_dir() -> Option<PathBuf> {
    use crate::connectors::file::FileSystem;
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    let places = named.map(PathBuf::from).into_iter();
    let places = places.chain(["/tmp".into(), "/var/tmp".into()]);
    let usable: Vec<(PathBuf, bool)> = places
        .filter_map(|path| {
            let path = std::path::absolute(path).ok()?;
            let directory = File::open(&path).ok()?;
            let in_memory = FileSystem::of(directory.as_raw_fd()).ok()? == FileSystem::Memory;
            let name = system::c_path(&path).ok()?;
            // SAFETY: `name` ends with a zero byte.
            let writable = unsafe { libc::access(name.as_ptr(), libc::W_OK | libc::X_OK) } == 0;
            writable.then_some((path, in_memory))
        })
        .collect();
    let on_disk = usable.iter().find(|(_, in_memory)| !in_memory);
    on_disk.or(usable.first()).map(|(path, _)| path.clone())
}
