//! Numbers that no other process draws: 80 random bits of the process and a counter.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Where a process keeps its random bits. It lies in memory that the kernel wipes in a forked
/// child, however it was forked, so that the child draws its own and cannot overwrite its parent's
/// objects. Asking for the process id instead would cost a system call for each key.
struct Seed {
    /// Zero until the bits are drawn; else 1, or the process id where the kernel wipes nothing.
    owner: AtomicU32,
    high: AtomicU64,
    low: AtomicU64,
}

static SEED: AtomicPtr<Seed> = AtomicPtr::new(null_mut());
/// What is used if no such memory can be had (before Linux 4.14, or under a limit).
static UNWIPED: Seed = Seed {
    owner: AtomicU32::new(0),
    high: AtomicU64::new(0),
    low: AtomicU64::new(0),
};
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// 128 bits that differ from all others: 80 random ones and a counter of 48.
pub(super) fn next() -> u128 {
    let count = u128::from(COUNTER.fetch_add(1, Ordering::Relaxed) & ((1 << 48) - 1));
    let mut seed = SEED.load(Ordering::Acquire);
    if seed.is_null() {
        seed = publish(wiped_on_fork());
    }
    // SAFETY: what `SEED` points to is static or a mapping that is never undone, and its fields
    // are atomic; zero, as a wiped page has it, is a value of each.
    let seed = unsafe { &*seed };
    let owner = if std::ptr::eq(seed, &UNWIPED) {
        std::process::id()
    } else {
        1
    };
    if seed.owner.load(Ordering::Acquire) != owner {
        seed.draw(owner);
    }
    let high = u128::from(seed.high.load(Ordering::Relaxed));
    ((high << 64 | u128::from(seed.low.load(Ordering::Relaxed))) << 48) | count
}

impl Seed {
    /// Two threads that draw at once only waste one draw.
    #[cold]
    fn draw(&self, owner: u32) {
        let mut random = [0; 16];
        fill_random(&mut random);
        let bits = u128::from_le_bytes(random);
        self.high.store((bits >> 64) as u64, Ordering::Relaxed);
        self.low.store(bits as u64, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Release);
    }
}

/// Makes a place the process's, unless another thread was first. No lock: a fork amid it would
/// leave it taken in the child for good.
#[cold]
fn publish(found: Option<NonNull<Seed>>) -> *mut Seed {
    let place = found.map_or((&raw const UNWIPED).cast_mut(), NonNull::as_ptr);
    match SEED.compare_exchange(null_mut(), place, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => place,
        Err(winner) => {
            if found.is_some() {
                // SAFETY: mapped with this length for this call alone, and seen by nobody.
                unsafe { libc::munmap(place.cast(), size_of::<Seed>()) };
            }
            winner
        }
    }
}

/// A page that is zero in every forked child.
fn wiped_on_fork() -> Option<NonNull<Seed>> {
    let len = size_of::<Seed>();
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new anonymous mapping touches no memory that is in use.
    let start = unsafe { libc::mmap(null_mut(), len, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the mapping is ours.
    let wiped = unsafe { libc::madvise(start, len, libc::MADV_WIPEONFORK) } == 0;
    #[cfg(not(target_os = "linux"))]
    let wiped = false;
    if !wiped {
        // SAFETY: as above, and nobody has seen it.
        unsafe { libc::munmap(start, len) };
        return None;
    }
    NonNull::new(start.cast())
}

/// Fills from the kernel's generator.
fn fill_random(bytes: &mut [u8]) {
    // The C library of 2012 has no function of that name.
    #[cfg(target_os = "linux")]
    // SAFETY: the pointer and length describe the slice. Up to 256 bytes are never short.
    let sound = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) }
        == bytes.len() as libc::c_long;
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the pointer and length describe the slice, of less than 256 bytes.
    let sound = unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) } == 0;
    assert!(sound, "the kernel's random generator failed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork;

    #[test]
    fn a_forked_child_draws_bits_of_its_own() {
        let before = next() >> 48;
        assert_eq!(next() >> 48, before, "one draw for a process");
        assert!(fork::in_child(|| next() >> 48 != before));
        assert_eq!(next() >> 48, before);
    }

    #[test]
    fn without_the_kernels_help_the_process_id_tells() {
        UNWIPED.draw(std::process::id());
        assert_eq!(UNWIPED.owner.load(Ordering::Relaxed), std::process::id());
        assert!(fork::in_child(|| {
            UNWIPED.owner.load(Ordering::Relaxed) != std::process::id()
        }));
    }
}
