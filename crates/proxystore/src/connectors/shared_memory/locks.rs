//! Which processes hold a record lock, as the kernel tells everybody: without opening the file,
//! since closing it again would drop this process's own lock.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// All record locks of the machine that are visible here; none where the kernel does not tell.
pub(super) struct RecordLocks(Vec<(u32, String)>);

impl RecordLocks {
    /// Lines are `1: POSIX  ADVISORY  READ 1234 00:1a:567 0 EOF`.
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let parse = |line: &str| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let (kind, pid, file) = (words.get(1)?, words.get(4)?, words.get(5)?);
            let pid = pid.parse().ok()?;
            (*kind == "POSIX" && pid != 0).then(|| (pid, (*file).to_owned()))
        };
        Self(text.lines().filter_map(parse).collect())
    }

    /// The processes that hold a lock on a file, in order.
    pub(super) fn holders(&self, path: &Path) -> Vec<u32> {
        let Ok(file) = path.symlink_metadata() else {
            return Vec::new();
        };
        let (major, minor) = (libc::major(file.dev()), libc::minor(file.dev()));
        let mark = format!("{major:02x}:{minor:02x}:{}", file.ino());
        let of_file = self.0.iter().filter(|(_, place)| *place == mark);
        let mut pids: Vec<_> = of_file.map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}
