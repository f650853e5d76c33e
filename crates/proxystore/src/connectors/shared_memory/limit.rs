//! How much shared memory a session may take when nobody says.

use crate::connectors::file::statistics;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;

/// Half of what is free leaves room for others, and for the program's own memory.
const SHARE: u64 = 2;

/// Half of what the file system has free, or of the memory that this process may still use, where
/// that is less: pages of shared memory count as the memory of whoever writes them.
pub(super) fn default_limit(directory: RawFd) -> io::Result<u64> {
    let found = statistics(directory)?;
    let free = found.f_bavail.saturating_mul(found.f_bsize as u64);
    let least = [available_memory(), group_memory()]
        .into_iter()
        .flatten()
        .fold(free, u64::min);
    Ok(least / SHARE)
}

/// What the machine could give, in bytes.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What the control groups of this process leave, in bytes: a container's or a batch job's limit.
fn group_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, limit, used) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max", "memory.current")
        } else if controllers.split(',').any(|name| name == "memory") {
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            )
        } else {
            continue;
        };
        // Any group above may have the limit.
        for group in Path::new(path).ancestors() {
            let group = Path::new(root).join(group.strip_prefix("/").unwrap_or(group));
            let read = |name| -> Option<u64> {
                let text = std::fs::read_to_string(group.join(name)).ok()?;
                text.trim().parse().ok() // "max" is no number: no limit
            };
            if let (Some(limit), Some(used)) = (read(limit), read(used)) {
                let left = limit.saturating_sub(used);
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn leaves_half_of_what_is_free() {
        let shm = std::fs::File::open("/dev/shm").unwrap();
        let found = statistics(shm.as_raw_fd()).unwrap();
        let limit = default_limit(shm.as_raw_fd()).unwrap();
        assert!(limit > 0);
        assert!(limit <= found.f_blocks * found.f_bsize as u64 / SHARE);
        assert!(limit <= available_memory().unwrap());
    }
}
