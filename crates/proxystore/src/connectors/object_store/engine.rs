//! Futures run to their end by threads that wait: a small runtime for all connectors of a
//! process, and the client of one of them.

use super::config::ObjectStoreConfig;
use super::failure::Failure;
use super::provider;
use crate::fork::{self, ForkMutex};
use crate::{Error, Result, interrupt};
use object_store::ObjectStore;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Threads that wait for sockets, and decrypt; most of the time they sleep.
const MOST_THREADS: usize = 4;
/// How often a waiting call looks whether the user wants it to end.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
/// How long a call that was ended waits for its parts to be taken back.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(2);

/// The process's runtime. Another process's is neither used nor dropped: its threads are not here.
struct Workers {
    generation: u64,
    runtime: ManuallyDrop<Runtime>,
}

impl Workers {
    fn shared() -> Result<Arc<Self>> {
        static SHARED: OnceLock<ForkMutex<Weak<Workers>>> = OnceLock::new();
        let mut shared = SHARED.get_or_init(ForkMutex::default).lock();
        let generation = fork::generation();
        if let Some(workers) = shared.upgrade()
            && workers.generation == generation
        {
            return Ok(workers);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.min(MOST_THREADS))
            .thread_name("proxystore-objects")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::io(error, "starting threads for requests").with_connector(super::KIND)
            })?;
        let workers = Arc::new(Self {
            generation,
            runtime: ManuallyDrop::new(runtime),
        });
        *shared = Arc::downgrade(&workers);
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            // SAFETY: taken once, here.
            let runtime = unsafe { ManuallyDrop::take(&mut self.runtime) };
            // The last user may be a task of this very runtime, which must not wait for itself.
            runtime.shutdown_background();
        }
    }
}

/// A client and the runtime that its connections live on.
struct Opened {
    workers: Arc<Workers>,
    line: ManuallyDrop<Line>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.workers.generation == fork::generation() {
            // SAFETY: taken once, here. In another process it is given up: its connections' tasks
            // may have held locks when that process was forked.
            drop(unsafe { ManuallyDrop::take(&mut self.line) });
        }
    }
}

/// What a call works with.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) timeout: Duration,
    /// Uploads that are being taken back.
    pub(super) taken_back: Arc<AtomicUsize>,
}

/// A bucket as one process after the other uses it.
pub(super) struct Engine {
    config: ObjectStoreConfig,
    opened: ForkMutex<Option<Arc<Opened>>>,
}

impl Engine {
    pub(super) fn new(config: ObjectStoreConfig) -> Self {
        Self {
            config,
            opened: ForkMutex::default(),
        }
    }

    pub(super) fn config(&self) -> &ObjectStoreConfig {
        &self.config
    }

    /// Runs a call. It ends early, with an error, when the user wants the program to stop.
    pub(super) fn run<T, F>(&self, work: impl FnOnce(Line) -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T, Failure>>,
    {
        let opened = self.opened()?;
        let outcome = if tokio::runtime::Handle::try_current().is_err() {
            block(&opened, work)
        } else {
            // A thread of a runtime may not wait for another one.
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| block(&opened, work));
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        };
        outcome.map_err(|failure| failure.into_error(&self.config))
    }

    /// Starts work that nobody waits for.
    pub(super) fn spawn<F>(&self, work: impl FnOnce(Line) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Ok(opened) = self.opened() {
            opened
                .workers
                .runtime
                .spawn(work(Line::clone(&opened.line)));
        }
    }

    /// Lets go of connections; the next call makes new ones.
    pub(super) fn close(&self) {
        let opened = self.opened.lock().take();
        drop(opened);
    }

    fn opened(&self) -> Result<Arc<Opened>> {
        let is_ours = |opened: &Arc<Opened>| opened.workers.generation == fork::generation();
        if let Some(opened) = &*self.opened.lock()
            && is_ours(opened)
        {
            return Ok(Arc::clone(opened));
        }
        // Reads files, so not under the lock.
        let made = Arc::new(Opened {
            workers: Workers::shared()?,
            line: ManuallyDrop::new(Line {
                store: provider::client(&self.config)?,
                timeout: self.config.timeout,
                taken_back: Arc::default(),
            }),
        });
        let mut opened = self.opened.lock();
        match &*opened {
            // Another thread was quicker.
            Some(theirs) if is_ours(theirs) => Ok(Arc::clone(theirs)),
            _ => {
                *opened = Some(Arc::clone(&made));
                Ok(made)
            }
        }
    }
}

fn block<T, F>(opened: &Opened, work: impl FnOnce(Line) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let line = Line::clone(&opened.line);
    let taken_back = Arc::clone(&line.taken_back);
    opened.workers.runtime.block_on(async {
        {
            let mut work = pin!(work(line));
            loop {
                match tokio::time::timeout(LOOKS_EVERY, &mut work).await {
                    Ok(outcome) => return outcome,
                    Err(_) if interrupt::is_requested() => break,
                    Err(_) => {}
                }
            }
        }
        let until = Instant::now() + TAKEN_BACK_WITHIN;
        while taken_back.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(LOOKS_EVERY / 5).await;
        }
        Err(Failure::Interrupted(io::ErrorKind::Interrupted.into()))
    })
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
