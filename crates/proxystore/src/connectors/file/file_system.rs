//! Which kind of file system a directory is on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::system::retry;

/// What a file system allows, by where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// This machine's memory (tmpfs, ramfs): pages of 4 kB unless huge ones are asked for.
    Memory,
    /// A disk of this machine, whose cache is mapped.
    Disk,
    /// Another machine's, or one that is not known: never mapped, since a file that goes away
    /// there kills the process that touches its mapping, and never quick.
    Network,
}

/// File systems of this machine: `f_type` of those whose mappings stay valid whatever others do
/// to the name. Everything else counts as a network (NFS, SMB, Lustre, GPFS, FUSE, 9P, Ceph, ...).
const LOCAL_DISKS: [u64; 9] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x794C_7630, // overlayfs, a container's own
    0x5265_4973, // reiserfs
    0x3153_464A, // jfs
];
const IN_MEMORY: [u64; 2] = [
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
];

impl FileSystem {
    /// Of an open directory.
    pub(crate) fn of(directory: RawFd) -> io::Result<Self> {
        let found = statistics(directory)?;
        Ok(Self::from_type(found.f_type as u64 & 0xFFFF_FFFF))
    }

    fn from_type(kind: u64) -> Self {
        if IN_MEMORY.contains(&kind) {
            Self::Memory
        } else if LOCAL_DISKS.contains(&kind) {
            Self::Disk
        } else {
            Self::Network
        }
    }

    /// Whether the bytes are on this machine.
    #[must_use]
    pub fn is_local(self) -> bool {
        self != Self::Network
    }
}

pub(crate) fn statistics(directory: RawFd) -> io::Result<libc::statfs> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: `found` has room for one `statfs`.
    retry(|| unsafe { libc::fstatfs(directory, found.as_mut_ptr()) })?;
    // SAFETY: filled in, since the call succeeded.
    Ok(unsafe { found.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn network_and_unknown_ones_are_never_local() {
        for kind in [
            0x6969,      // NFS
            0xFF53_4D42, // CIFS
            0xFE53_4D42, // SMB2
            0x0BD0_0BD0, // Lustre
            0x6573_5546, // FUSE
            0x4750_4653, // GPFS
            0x00C3_6400, // Ceph
            0x0102_1997, // 9P
            0x1983_0326, // BeeGFS
            0x1234_5678,
        ] {
            assert_eq!(FileSystem::from_type(kind), FileSystem::Network, "{kind:x}");
        }
    }

    #[test]
    fn shared_memory_is_known() {
        let shm = std::fs::File::open("/dev/shm").unwrap();
        assert_eq!(FileSystem::of(shm.as_raw_fd()).unwrap(), FileSystem::Memory);
    }
}
