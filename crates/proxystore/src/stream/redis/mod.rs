//! Streams through a Redis server, 6.2 or later (or Valkey).
//!
//! | | kept until read | each message goes to |
//! |---|---|---|
//! | [`RedisPublisher`], [`RedisSubscriber`] | no | every consumer that listens |
//! | [`RedisQueuePublisher`], [`RedisQueueSubscriber`] | yes | one consumer |
//! | [`RedisStreamPublisher`], [`RedisStreamSubscriber`] | yes, and after | every consumer, or one of each group |
//!
//! They are the brokers of Python's `proxystore.stream.shims.redis` and `redis_streams`.
//!
//! ```no_run
//! use proxystore::connectors::redis::RedisConfig;
//! use proxystore::stream::redis::{RedisQueuePublisher, RedisQueueSubscriber};
//! use proxystore::stream::{StreamConsumer, StreamProducer};
//!
//! let server = RedisConfig::default();
//! let mut producer = StreamProducer::new(RedisQueuePublisher::new(server.clone())?);
//! producer.send("lines", "hello".to_owned())?;
//! let mut consumer = StreamConsumer::<String>::new(RedisQueueSubscriber::new(server, "lines")?);
//! let received = consumer.receive(None)?.expect("one line");
//! # Ok::<(), proxystore::Error>(())
//! ```

mod channel;
mod list;
mod publisher;
mod replayed;

pub use channel::RedisSubscriber;
pub use list::RedisQueueSubscriber;
pub use publisher::{CommandPublisher, Publish, Push, RedisPublisher, RedisQueuePublisher};
pub use replayed::{RedisStreamPublisher, RedisStreamSubscriber, StreamPosition};

use crate::Result;
use std::time::{Duration, Instant};

/// Values below this go into the event where messages stay in the server after they were read.
const INLINE_BELOW_KEPT: usize = 32 << 10;

/// Asks in turns, each of which may come back early with nothing, until the time is over.
fn until<T>(
    timeout: Option<Duration>,
    mut ask: impl FnMut(Option<Duration>) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(found) = ask(left)? {
            return Ok(Some(found));
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
    }
}
