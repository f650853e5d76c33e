//! Producers and consumers for asynchronous programs, whatever their runtime.

use super::{Metadata, Received, StreamConsumer, StreamProducer};
use crate::codec::{Decode, Encode};
use crate::pool::{Job, Task, task_of};
use crate::{Error, ErrorKind, Result, fork};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long the thread of a consumer that was dropped may still wait for a message.
const LOOK_UP: Duration = Duration::from_secs(1);

/// A value in whose thread its calls run, one after the other: they may wait for ever, which the
/// threads of a pool must not.
struct Home<S> {
    value: Arc<Mutex<S>>,
    jobs: Option<mpsc::Sender<Job>>,
    generation: u64,
}

impl<S: Send + 'static> Home<S> {
    fn of(value: S) -> Self {
        Self {
            value: Arc::new(Mutex::new(value)),
            jobs: None,
            generation: fork::generation(),
        }
    }

    /// A forked child has none of its parent's threads.
    fn check(&self) -> Result<()> {
        if self.generation == fork::generation() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "this stream belongs to the process that this one was forked from: make a new one",
        ))
    }

    fn call<R: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<Task<R>> {
        self.check()?;
        let jobs = match &self.jobs {
            Some(jobs) => jobs,
            None => self.jobs.insert(start()?),
        };
        let value = Arc::clone(&self.value);
        let (task, job) = task_of(move || call(&mut lock(&value)));
        jobs.send(job)
            .map_err(|_| Error::new(ErrorKind::Closed, "the thread of this stream has ended"))?;
        Ok(task)
    }
}

fn lock<S>(value: &Mutex<S>) -> MutexGuard<'_, S> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    std::thread::Builder::new()
        .name("proxystore-stream".to_owned())
        .spawn(move || {
            while let Ok(job) = jobs.recv() {
                job();
            }
        })
        .map_err(|error| {
            Error::new(ErrorKind::Io, "no thread is to be had for this stream").with_source(error)
        })?;
    Ok(sender)
}

/// A [`StreamConsumer`] that is awaited.
///
/// A thread of its own, which begins with the first value that is asked for, waits for messages. A
/// future that is dropped loses nothing: what comes is for the next one.
///
/// It needs no runtime of a certain kind, and no crate: where a `Stream` is wanted,
/// `futures::stream::poll_fn(move |context| consumer.poll_next(context))` is one.
///
/// ```
/// # fn block_on<T>(future: impl Future<Output = T>) -> T {
/// #     use std::task::{Context, Poll, Waker};
/// #     let mut future = std::pin::pin!(future);
/// #     loop {
/// #         match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
/// #             Poll::Ready(value) => return value,
/// #             Poll::Pending => std::thread::yield_now(),
/// #         }
/// #     }
/// # }
/// use proxystore::stream::{AsyncStreamConsumer, AsyncStreamProducer};
/// use proxystore::stream::{Channel, StreamConsumer, StreamProducer};
///
/// # block_on(async {
/// let channel = Channel::new();
/// let mut producer = AsyncStreamProducer::from(StreamProducer::new(channel.publisher()));
/// producer.send("numbers", 1_i64).await?;
/// producer.send("numbers", 2_i64).await?;
/// producer.close_topic("numbers").await?;
///
/// let consumer = StreamConsumer::<i64>::new(channel.subscriber("numbers"));
/// let mut consumer = AsyncStreamConsumer::from(consumer);
/// let mut sum = 0;
/// while let Some(received) = consumer.next().await {
///     sum += *received?.proxy.resolve_async().await?;
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), proxystore::Error>(())
/// # })?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct AsyncStreamConsumer<T> {
    home: Home<StreamConsumer<T>>,
    waiting: Option<Task<Result<Option<Received<T>>>>>,
    /// Whether nobody wants a message any more.
    is_over: Arc<AtomicBool>,
}

impl<T: Decode + Send + Sync + 'static> From<StreamConsumer<T>> for AsyncStreamConsumer<T> {
    fn from(consumer: StreamConsumer<T>) -> Self {
        Self {
            home: Home::of(consumer),
            waiting: None,
            is_over: Arc::default(),
        }
    }
}

impl<T: Decode + Send + Sync + 'static> AsyncStreamConsumer<T> {
    /// Waits for the next value. `None` is the end of the stream; a later call waits for what is
    /// sent after it.
    ///
    /// # Errors
    /// As [`StreamConsumer::receive`], but for the timeout.
    pub async fn next(&mut self) -> Option<Result<Received<T>>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// One step of [`next`](Self::next), for a `Stream`.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Received<T>>>> {
        if let Err(error) = self.home.check() {
            return Poll::Ready(Some(Err(error)));
        }
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None => {
                let is_over = Arc::clone(&self.is_over);
                match self.home.call(move |consumer| next_of(consumer, &is_over)) {
                    Ok(task) => self.waiting.insert(task),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
        };
        let received = ready!(Pin::new(waiting).poll(context));
        self.waiting = None;
        Poll::Ready(received.transpose())
    }

    #[cfg(test)]
    pub(super) fn consumer(&self) -> std::sync::Weak<Mutex<StreamConsumer<T>>> {
        Arc::downgrade(&self.home.value)
    }

    /// Finishes the last message and closes the subscriber; see [`StreamConsumer::close`].
    ///
    /// # Errors
    /// As [`StreamConsumer::close`].
    pub async fn close(mut self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.home.call(StreamConsumer::close)?.await
    }
}

fn next_of<T: Decode + Send + Sync + 'static>(
    consumer: &mut StreamConsumer<T>,
    is_over: &AtomicBool,
) -> Result<Option<Received<T>>> {
    while !is_over.load(Ordering::Relaxed) {
        match consumer.receive(Some(LOOK_UP)) {
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            received => return received,
        }
    }
    Ok(None)
}

impl<T> Drop for AsyncStreamConsumer<T> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for AsyncStreamConsumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStreamConsumer")
            .field("is_waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}

/// A [`StreamProducer`] that is awaited; see [`AsyncStreamConsumer`] for an example.
///
/// Its calls run in a thread of its own, one after the other. A future that is dropped does not
/// undo its call.
pub struct AsyncStreamProducer<T> {
    home: Home<StreamProducer<T>>,
}

impl<T: Encode + Send + 'static> From<StreamProducer<T>> for AsyncStreamProducer<T> {
    fn from(producer: StreamProducer<T>) -> Self {
        Self {
            home: Home::of(producer),
        }
    }
}

impl<T: Encode + Send + 'static> AsyncStreamProducer<T> {
    /// As [`StreamProducer::send`].
    ///
    /// # Errors
    /// As [`StreamProducer::send_with`].
    pub async fn send(&mut self, topic: &str, value: T) -> Result<()> {
        self.send_with(topic, value, true, Metadata::new()).await
    }

    /// As [`StreamProducer::send_with`].
    ///
    /// # Errors
    /// As [`StreamProducer::send_with`].
    pub async fn send_with(
        &mut self,
        topic: &str,
        value: T,
        evict: bool,
        metadata: Metadata,
    ) -> Result<()> {
        self.call(topic, move |producer, topic| {
            producer.send_with(topic, value, evict, metadata)
        })
        .await
    }

    /// As [`StreamProducer::flush_topic`].
    ///
    /// # Errors
    /// As [`StreamProducer::flush_topic`].
    pub async fn flush_topic(&mut self, topic: &str) -> Result<()> {
        self.call(topic, StreamProducer::flush_topic).await
    }

    /// As [`StreamProducer::flush`].
    ///
    /// # Errors
    /// As [`StreamProducer::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        self.home.call(StreamProducer::flush)?.await
    }

    /// As [`StreamProducer::close_topic`].
    ///
    /// # Errors
    /// As [`StreamProducer::close_topic`].
    pub async fn close_topic(&mut self, topic: &str) -> Result<()> {
        self.call(topic, StreamProducer::close_topic).await
    }

    /// As [`StreamProducer::close`].
    ///
    /// # Errors
    /// As [`StreamProducer::close`].
    pub async fn close(mut self) -> Result<()> {
        self.home.call(StreamProducer::close)?.await
    }

    async fn call(
        &mut self,
        topic: &str,
        call: impl FnOnce(&mut StreamProducer<T>, &str) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let topic = topic.to_owned();
        self.home
            .call(move |producer| call(producer, &topic))?
            .await
    }
}

impl<T> fmt::Debug for AsyncStreamProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStreamProducer")
            .finish_non_exhaustive()
    }
}
