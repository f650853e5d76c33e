//! Copying an object's pieces to one place, at the speed of memory.
//!
//! Measured on 2 cores of an Intel Xeon with 4 MB of L2 (100 MB, processor time of one thread):
//!
//! | into memory that | plain | past the cache | two threads, each |
//! |---|---|---|---|
//! | was used before | 14.0 ms | 7.8 to 10 ms | 4.9 ms |
//! | the kernel has just joined to huge pages (and 12.5 ms for that) | 12.5 ms | 9.4 ms | 4.7 ms |
//! | is faulted in by the copy, in huge pages | 23.5 ms | 28 ms | 12 ms |
//!
//! So both threads and stores past the cache pay, the latter except where the copy's own page
//! faults have just brought the target into the cache.

use super::anonymous::HUGE_PAGE;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// From this many bytes on several threads copy: starting one costs some 50 µs, 8 MiB take from
/// 700 µs on.
const PARALLEL_FROM: usize = 8 << 20;
/// Most threads for one copy: memory has no more to give to a few threads than to many.
const MOST_THREADS: usize = 4;
/// How much is prepared, then copied, at a time: what the kernel has just zeroed is still in the
/// processor's cache when the copy comes. Smaller pieces gain no more, and each call that joins
/// pages drains every processor's page lists.
const PIECE: usize = 4 * HUGE_PAGE;
/// Shorter runs are copied as usual: they are not worth the alignment.
const STREAMED_FROM: usize = 4 << 10;

/// What the target's memory is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Its pages are there before the copy.
    Ready,
    /// Its pages come with the copy, zeroed by the kernel.
    Untouched,
}

/// Copies `pieces`, one after the other, to `target`, as far as `len`. Before a part of it is
/// copied `prepare` is called with its range, a multiple of [`HUGE_PAGE`] at least at its
/// beginning; where it says no, the copy ends. Gives the number of bytes copied, all of them from
/// the front.
///
/// # Safety
/// `len` bytes at `target` are writable once they are prepared, no piece lies in them, and nobody
/// else uses them meanwhile.
pub(crate) unsafe fn gather(
    pieces: &[&[u8]],
    target: NonNull<u8>,
    len: usize,
    kind: Target,
    prepare: impl Fn(Range<usize>) -> bool + Sync,
) -> usize {
    let starts: Vec<usize> = pieces
        .iter()
        .scan(0, |at, piece| {
            let start = *at;
            *at += piece.len();
            Some(start)
        })
        .collect();
    let total = starts.last().zip(pieces.last());
    let len = len.min(total.map_or(0, |(start, piece)| start + piece.len()));
    let threads = threads(len);
    // Small enough that no thread waits long for the last one.
    let step = (len / (2 * threads))
        .next_multiple_of(HUGE_PAGE)
        .clamp(HUGE_PAGE, PIECE);
    let work = Work {
        pieces,
        starts: &starts,
        target,
        len,
        kind,
        prepare,
        step,
        next: AtomicUsize::new(0),
        filled: AtomicUsize::new(len),
        ended: AtomicBool::new(false),
    };
    if threads == 1 {
        // SAFETY: the caller's promise.
        unsafe { work.run() };
    } else {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no thread is to be had, the others do its work.
                let _ = std::thread::Builder::new()
                    .name("proxystore-copy".to_owned())
                    // SAFETY: the caller's promise; no two threads get the same part.
                    .spawn_scoped(scope, || unsafe { work.run() });
            }
            // SAFETY: as above.
            unsafe { work.run() };
        });
    }
    work.filled.into_inner()
}

/// How many threads a copy is worth.
fn threads(len: usize) -> usize {
    // No `OnceLock`: a fork amid its setting would leave the child waiting.
    static CORES: AtomicUsize = AtomicUsize::new(0);
    if len < PARALLEL_FROM {
        return 1;
    }
    let mut cores = CORES.load(Ordering::Relaxed);
    if cores == 0 {
        // Reads the limits of control groups: too slow to ask each time.
        cores = std::thread::available_parallelism().map_or(1, usize::from);
        CORES.store(cores, Ordering::Relaxed);
    }
    cores.min(MOST_THREADS)
}

/// A copy that threads share.
struct Work<'a, F> {
    pieces: &'a [&'a [u8]],
    /// Where each piece begins.
    starts: &'a [usize],
    target: NonNull<u8>,
    len: usize,
    kind: Target,
    prepare: F,
    step: usize,
    next: AtomicUsize,
    /// Bytes at the front that are copied once all threads are done.
    filled: AtomicUsize,
    ended: AtomicBool,
}

// SAFETY: threads write to parts of the target of their own, which `next` hands out.
unsafe impl<F: Sync> Sync for Work<'_, F> {}

impl<F: Fn(Range<usize>) -> bool + Sync> Work<'_, F> {
    /// Takes part after part, in order, until there is none left.
    ///
    /// # Safety
    /// As [`gather`].
    unsafe fn run(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            let from = self.next.fetch_add(self.step, Ordering::Relaxed);
            if from >= self.len {
                return;
            }
            let part = from..(from + self.step).min(self.len);
            if (self.prepare)(part.clone()) {
                // SAFETY: prepared, and this thread's alone.
                unsafe { self.copy(part) };
            } else {
                // Parts are taken in order: every one before this has been or is being copied.
                self.filled.fetch_min(from, Ordering::Relaxed);
                self.ended.store(true, Ordering::Relaxed);
            }
        }
    }

    /// # Safety
    /// The part lies in the target, and nobody else uses it.
    unsafe fn copy(&self, part: Range<usize>) {
        let first = self.starts.partition_point(|start| *start <= part.start) - 1;
        let mut skip = part.start - self.starts[first];
        let mut at = part.start;
        for piece in &self.pieces[first..] {
            let rest = &piece[skip..];
            skip = 0;
            let now = &rest[..rest.len().min(part.end - at)];
            // SAFETY: `at + now.len() <= part.end`, which lies in the target.
            unsafe {
                let target = self.target.as_ptr().add(at);
                match self.kind {
                    Target::Ready if now.len() >= STREAMED_FROM => stream(now, target),
                    _ => ptr::copy_nonoverlapping(now.as_ptr(), target, now.len()),
                }
            }
            at += now.len();
            if at == part.end {
                return;
            }
        }
    }
}

/// Copies past the cache: a plain store first reads the line that it is about to overwrite.
///
/// # Safety
/// As `ptr::copy_nonoverlapping` from all of `source` to `target`.
#[cfg(target_arch = "x86_64")]
unsafe fn stream(source: &[u8], target: *mut u8) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const LINE: usize = 64;
    // Without optimization the loop takes 50 times as long; the tests beside it run it all the same.
    if cfg!(all(debug_assertions, not(test))) {
        // SAFETY: the caller's promise.
        return unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
    }
    let head = target.align_offset(LINE).min(source.len());
    let (head, rest) = source.split_at(head);
    let (lines, tail) = rest.as_chunks::<LINE>();
    // SAFETY: the three parts together are `source`, written one after the other; `body` is
    // aligned to a line. Every x86-64 has these instructions.
    unsafe {
        ptr::copy_nonoverlapping(head.as_ptr(), target, head.len());
        let mut body = target.add(head.len()).cast::<__m128i>();
        for line in lines {
            let line = line.as_ptr().cast::<__m128i>();
            let loaded = [0, 1, 2, 3].map(|part| _mm_loadu_si128(line.add(part)));
            for part in loaded {
                _mm_stream_si128(body, part);
                body = body.add(1);
            }
        }
        ptr::copy_nonoverlapping(tail.as_ptr(), body.cast(), tail.len());
        // Such stores pass later ones: whoever is told that the copy is done must see them.
        _mm_sfence();
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn stream(source: &[u8], target: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) }
}

/// Copies `pieces`, one after the other, to the front of `target`, which they must fit in.
pub(crate) fn copy(pieces: &[&[u8]], target: &mut [u8]) {
    copy_into(pieces, target, Target::Untouched);
}

/// As [`copy`], where it is known what the target's memory is like.
pub(crate) fn copy_into(pieces: &[&[u8]], target: &mut [u8], kind: Target) {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    assert!(len <= target.len(), "a target as long as the pieces");
    if len < PARALLEL_FROM {
        let mut rest = target;
        for piece in pieces {
            let (now, later) = rest.split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
        }
        return;
    }
    let start = NonNull::from(target).cast();
    // SAFETY: `len` bytes borrowed exclusively, so that no piece lies in them.
    unsafe { gather(pieces, start, len, kind, |_| true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(len: usize, seed: usize) -> Vec<u8> {
        let once: Vec<u8> = (0..4099).map(|i| ((i + seed) * 31 % 251) as u8).collect();
        let mut all = once.repeat(len / once.len() + 1);
        all.truncate(len);
        all
    }

    fn lengths() -> Vec<Vec<usize>> {
        vec![
            vec![],
            vec![1],
            vec![STREAMED_FROM - 1, 1, STREAMED_FROM, STREAMED_FROM + 63],
            vec![3, HUGE_PAGE - 3, HUGE_PAGE + 1],
            vec![PARALLEL_FROM - 1],
            vec![PARALLEL_FROM],
            vec![5, PIECE * 3 + 17, 1, 77_777],
            (0..3000).map(|i| 1 + i * 7 % 8191).collect(),
        ]
    }

    #[test]
    fn every_byte_arrives_in_its_place() {
        for (seed, lengths) in lengths().iter().enumerate() {
            let owned: Vec<_> = lengths.iter().map(|len| numbered(*len, seed)).collect();
            let pieces: Vec<&[u8]> = owned.iter().map(Vec::as_slice).collect();
            let joined = pieces.concat();
            for kind in [Target::Ready, Target::Untouched] {
                for offset in [0, 1, 33] {
                    let mut target = vec![0xEE; offset + joined.len() + 1];
                    let start = NonNull::from(&mut target[offset..]).cast();
                    // SAFETY: the rest of the vector, borrowed exclusively.
                    let got = unsafe { gather(&pieces, start, joined.len(), kind, |_| true) };
                    assert_eq!(got, joined.len());
                    assert!(target[offset..][..joined.len()] == joined[..]);
                    assert_eq!(target.last(), Some(&0xEE));
                }
            }
            for kind in [Target::Ready, Target::Untouched] {
                let mut target = vec![0; joined.len()];
                copy_into(&pieces, &mut target, kind);
                assert!(target == joined);
            }
        }
    }

    #[test]
    fn a_refused_part_ends_the_copy_and_all_before_it_is_there() {
        let source = numbered(PIECE * 9 + 5, 1);
        for refused in [0, HUGE_PAGE, 3 * PIECE + 1, PIECE * 9] {
            let mut target = vec![0; source.len()];
            let start = NonNull::from(&mut target[..]).cast();
            let prepare = |part: Range<usize>| !part.contains(&refused);
            // SAFETY: all of the vector, borrowed exclusively.
            let got = unsafe { gather(&[&source], start, source.len(), Target::Ready, prepare) };
            assert!(got <= refused && refused < got + PIECE, "{got} {refused}");
            assert_eq!(got % HUGE_PAGE, 0);
            assert!(target[..got] == source[..got]);
        }
    }

    #[test]
    fn a_length_short_of_the_pieces_is_kept() {
        let source = numbered(PARALLEL_FROM * 2, 2);
        let mut target = vec![0; PARALLEL_FROM + 2];
        let start = NonNull::from(&mut target[..]).cast();
        let len = PARALLEL_FROM + 1;
        // SAFETY: the vector is longer.
        let got = unsafe { gather(&[&source], start, len, Target::Ready, |_| true) };
        assert_eq!(got, len);
        assert!(target[..len] == source[..len]);
        assert_eq!(target[len], 0);
    }
}
