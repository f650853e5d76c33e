//! Streams of values: events travel through a broker, values through stores.
//!
//! A [`StreamProducer`] puts each value into the store of its topic and publishes an event with its
//! key; a [`StreamConsumer`] gives a [`Proxy`](crate::Proxy) for each event. Small values travel in
//! the event itself. A broker is adapted by a [`Publisher`] and a [`Subscriber`], which move bytes:
//! a [`Channel`] within the process, and [`redis`] (feature `redis`).
//!
//! What a Rust producer sends a Python consumer receives, and the reverse: the bytes of an event
//! are described in `docs/streams.md`.
//!
//! ```
//! use proxystore::Store;
//! use proxystore::stream::{Channel, Metadata, StreamConsumer, StreamProducer};
//!
//! let store = Store::in_memory("stream");
//! store.register()?;
//! let channel = Channel::new();
//! let mut producer = StreamProducer::new(channel.publisher()).store(&store);
//! let mut consumer = StreamConsumer::<String>::new(channel.subscriber("lines"));
//!
//! producer.send_with("lines", "hello".to_owned(), true, Metadata::new().with("number", 1))?;
//! producer.close_topic("lines")?;
//!
//! let received = consumer.receive(None)?.expect("one value");
//! assert_eq!(received.metadata.get("number"), Some(&1.into()));
//! assert_eq!(received.proxy.resolve()?, "hello");
//! assert!(consumer.receive(None)?.is_none()); // the end of the stream
//! # store.close(true)?;
//! # Ok::<(), proxystore::Error>(())
//! ```

#[cfg(feature = "async")]
mod asynchronous;
mod batches;
mod channel;
mod consumer;
mod event;
pub mod form;
mod inlining;
mod metadata;
mod producer;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncStreamConsumer, AsyncStreamProducer};
pub use batches::Batches;
pub use channel::{Channel, ChannelPublisher, ChannelSubscriber};
pub use consumer::{Received, StreamConsumer, sealed};
pub use event::{Event, Message, StorePlace};
pub use inlining::{INLINE_AT_MOST, Inlining};
pub use metadata::Metadata;
pub use producer::StreamProducer;

use crate::{Blob, Payload, Result};
use std::time::Duration;

/// Publishes messages: the sending half of a broker's shim.
pub trait Publisher: Send {
    /// Publishes one message, whole and in order with the others of its topic.
    ///
    /// # Errors
    /// If it was not published, or if the broker cannot tell.
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()>;

    /// Values below this many bytes travel faster inside an event than through a store, by
    /// measurement; 0 puts every value into its store.
    fn inline_below(&self) -> usize {
        0
    }

    /// Lets go of what is open, once everything is sent.
    ///
    /// # Errors
    /// If something was not sent.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Receives messages: the other half.
pub trait Subscriber: Send {
    /// Waits for the next message. The one before counts as finished: a broker that delivers again
    /// what was lost does not deliver that one.
    ///
    /// `None` means that there will never be another one.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if there is none within `timeout`, and if
    /// the broker cannot be reached.
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>>;

    /// Finishes the last message, and lets go of what is open.
    ///
    /// # Errors
    /// If the broker cannot be told.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The error of a [`Subscriber`] that has waited long enough.
#[must_use]
pub fn no_message(topic: &str, timeout: Option<Duration>) -> crate::Error {
    let waited = timeout.unwrap_or_default();
    crate::Error::new(
        crate::ErrorKind::Timeout,
        format!("no message in the topic {topic:?} within {waited:?}"),
    )
}
