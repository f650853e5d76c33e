//! A few threads for blocking calls that others do not want to wait for.

use crate::fork::{self, ForkMutex};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Most threads. They wait for disks and networks, so they may be more than processors.
const MOST_THREADS: usize = 32;
/// How long a thread without work stays.
const LINGER: Duration = Duration::from_secs(10);

pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Pool {
    /// Of which process the threads are.
    generation: u64,
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static WORK: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    static POOL: OnceLock<ForkMutex<Pool>> = OnceLock::new();
    let mut pool = POOL.get_or_init(ForkMutex::default).lock();
    if pool.generation != fork::generation() {
        // A child has none of its parent's threads, and their jobs are the parent's.
        let jobs = std::mem::take(&mut pool.jobs);
        *pool = Pool {
            generation: fork::generation(),
            ..Pool::default()
        };
        std::mem::forget(jobs);
    }
    pool
}

/// Runs a function in another thread.
pub(crate) fn run<R: Send + 'static>(call: impl FnOnce() -> R + Send + 'static) -> Task<R> {
    let (task, job) = task_of(call);
    submit(job);
    task
}

/// A function as the job of some thread, and what waits for it.
pub(crate) fn task_of<R: Send + 'static>(
    call: impl FnOnce() -> R + Send + 'static,
) -> (Task<R>, Job) {
    let shared = Arc::new(Shared {
        generation: fork::generation(),
        slot: Mutex::new(Slot {
            outcome: None,
            waker: None,
        }),
        done: Condvar::new(),
    });
    let task = Task {
        shared: Arc::clone(&shared),
    };
    let job = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(call));
        let mut slot = shared.slot();
        slot.outcome = Some(outcome);
        let waker = slot.waker.take();
        drop(slot);
        shared.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    (task, job)
}

fn submit(job: Job) {
    let mut pool = pool();
    pool.jobs.push_back(job);
    if pool.idle >= pool.jobs.len() {
        WORK.notify_one();
    } else if pool.threads < MOST_THREADS {
        pool.threads += 1;
        drop(pool);
        let started = std::thread::Builder::new()
            .name("proxystore".to_owned())
            .spawn(work);
        if started.is_err() {
            // No thread is to be had: the work is done here, unless another thread has it.
            let mut pool = self::pool();
            pool.threads -= 1;
            let job = if pool.threads == 0 {
                pool.jobs.pop_front()
            } else {
                None
            };
            drop(pool);
            if let Some(job) = job {
                job();
            }
        }
    }
}

fn work() {
    let mut pool = pool();
    loop {
        if let Some(job) = pool.jobs.pop_front() {
            drop(pool);
            job();
            pool = self::pool();
            continue;
        }
        pool.idle += 1;
        let (guard, waited) = WORK
            .wait_timeout(pool, LINGER)
            .unwrap_or_else(PoisonError::into_inner);
        pool = guard;
        pool.idle -= 1;
        if waited.timed_out() && pool.jobs.is_empty() {
            pool.threads -= 1;
            return;
        }
    }
}

/// A call that runs in another thread: waited for, or awaited.
pub(crate) struct Task<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    generation: u64,
    slot: Mutex<Slot<R>>,
    done: Condvar,
}

struct Slot<R> {
    outcome: Option<std::thread::Result<R>>,
    waker: Option<Waker>,
}

impl<R> Shared<R> {
    fn slot(&self) -> MutexGuard<'_, Slot<R>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Task<R> {
    /// What the call returned; `None` in a forked child, which does not have the thread. A panic
    /// goes on here.
    pub(crate) fn wait(self) -> Option<R> {
        if self.shared.generation != fork::generation() {
            return None;
        }
        let mut slot = self.shared.slot();
        loop {
            match slot.outcome.take() {
                Some(Ok(value)) => return Some(value),
                Some(Err(panic)) => {
                    drop(slot);
                    resume_unwind(panic)
                }
                None => {
                    slot = self
                        .shared
                        .done
                        .wait(slot)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<R> Future for Task<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let mut slot = self.shared.slot();
        match slot.outcome.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(slot);
                resume_unwind(panic)
            }
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_jobs_on_a_few_threads() {
        let tasks: Vec<_> = (0..500_u64).map(|number| run(move || number * 2)).collect();
        let sum: u64 = tasks.into_iter().filter_map(Task::wait).sum();
        assert_eq!(sum, 499 * 500);
        assert!(pool().threads <= MOST_THREADS);
    }

    #[test]
    fn a_panic_is_the_callers() {
        let task = run(|| -> () { panic!("on purpose") });
        assert!(catch_unwind(AssertUnwindSafe(|| task.wait())).is_err());
        assert_eq!(run(|| 1).wait(), Some(1));
    }

    #[test]
    fn a_child_has_threads_of_its_own() {
        let task = run(|| std::thread::sleep(Duration::from_millis(50)));
        assert!(fork::in_child(
            || task.wait().is_none() && run(|| 2).wait() == Some(2)
        ));
    }
}
