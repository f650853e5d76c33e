//! Blocks of one object on several threads.

use crate::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// As for copies: a few threads, and none for little. A block takes some 500 µs, starting a thread
/// 50 µs.
const MOST_THREADS: usize = 4;

/// How many threads so many blocks are worth.
pub(super) fn threads(blocks: usize) -> usize {
    // No `OnceLock`: a fork amid its setting would leave the child waiting.
    static CORES: AtomicUsize = AtomicUsize::new(0);
    if blocks < 2 {
        return 1;
    }
    let mut cores = CORES.load(Ordering::Relaxed);
    if cores == 0 {
        cores = std::thread::available_parallelism().map_or(1, usize::from);
        CORES.store(cores, Ordering::Relaxed);
    }
    cores.min(MOST_THREADS).min(blocks)
}

/// Does a piece of work for each item, in any order, each thread with scratch memory of its own;
/// gives the results in the order of the items, or the first failure.
pub(super) fn for_each<T: Send, R: Send, S: Default>(
    items: Vec<T>,
    work: impl Fn(&mut S, usize, T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let threads = threads(items.len());
    if threads == 1 {
        let mut scratch = S::default();
        let numbered = items.into_iter().enumerate();
        return numbered
            .map(|(index, item)| work(&mut scratch, index, item))
            .collect();
    }
    let count = items.len();
    let items = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(count));
    let run = || {
        let mut scratch = S::default();
        loop {
            let next = lock(&items).next();
            let Some((index, item)) = next else { return };
            let result = work(&mut scratch, index, item);
            let failed = result.is_err();
            lock(&done).push((index, result));
            if failed {
                // What is left need not be done.
                lock(&items).by_ref().for_each(drop);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread is to be had, the others do its work.
            let _ = std::thread::Builder::new()
                .name("proxystore-seal".to_owned())
                .spawn_scoped(scope, run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
