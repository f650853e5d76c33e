//! The receiving end of a stream.

use super::{Event, Message, Metadata, StorePlace, Subscriber};
use crate::codec::{Decode, Object};
use crate::{Proxy, Result, Store};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

type Filter = Box<dyn FnMut(&Metadata) -> bool + Send>;

/// One value of a stream.
#[non_exhaustive]
pub struct Received<T> {
    /// Topic that it was sent to.
    pub topic: String,
    /// What was sent along.
    pub metadata: Metadata,
    /// The value. One that came in its event is resolved already, and in no store.
    pub proxy: Proxy<T>,
}

/// Receives the values of a stream, as proxies.
///
/// It is an iterator too, which ends with the stream.
///
/// ```
/// use proxystore::stream::{Channel, StreamConsumer, StreamProducer};
///
/// let channel = Channel::new();
/// let mut producer = StreamProducer::new(channel.publisher());
/// producer.send("numbers", 1_i64)?;
/// producer.send("numbers", 2_i64)?;
/// producer.close_topic("numbers")?;
///
/// let mut sum = 0;
/// for received in StreamConsumer::<i64>::new(channel.subscriber("numbers")) {
///     sum += received?.proxy.resolve()?;
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct StreamConsumer<T> {
    subscriber: Box<dyn Subscriber>,
    filter: Option<Filter>,
    topic: String,
    waiting: VecDeque<Event>,
    last_store: Option<(StorePlace, Store)>,
    of: PhantomData<fn() -> T>,
}

impl<T: Decode + Send + Sync + 'static> StreamConsumer<T> {
    /// A consumer of what a subscriber receives.
    #[must_use]
    pub fn new(subscriber: impl Subscriber + 'static) -> Self {
        Self {
            subscriber: Box::new(subscriber),
            filter: None,
            topic: String::new(),
            waiting: VecDeque::new(),
            last_store: None,
            of: PhantomData,
        }
    }

    /// Skips the values for whose metadata `drop` says so; they are removed from their store if
    /// the producer asked for that.
    #[must_use]
    pub fn filter(mut self, drop: impl FnMut(&Metadata) -> bool + Send + 'static) -> Self {
        self.filter = Some(Box::new(drop));
        self
    }

    /// Waits for the next value. `None` is the end of the stream: the producer closed the topic, or
    /// nobody is left who could send. A later call waits for what is sent after it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if there is none within `timeout`;
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) for a message that only Python reads,
    /// since its metadata are no plain values; what the subscriber may give.
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Received<T>>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            while self.waiting.is_empty() {
                let left =
                    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let Some(message) = self.subscriber.receive(left)? else {
                    return Ok(None);
                };
                let message = Message::decode(message)?;
                self.topic = message.topic;
                self.waiting.extend(message.events);
            }
            let Some(event) = self.waiting.pop_front() else {
                continue;
            };
            let Some(metadata) = event.metadata() else {
                return Ok(None);
            };
            if self.filter.as_mut().is_some_and(|drop| drop(metadata)) {
                self.discard(event)?;
                continue;
            }
            return self.received(event);
        }
    }

    /// Finishes the last message and closes the subscriber. Events of that message that were not
    /// received are lost, unless the broker delivers again what was not finished.
    ///
    /// # Errors
    /// What the subscriber may give.
    pub fn close(&mut self) -> Result<()> {
        self.subscriber.close()
    }

    fn received(&mut self, event: Event) -> Result<Option<Received<T>>> {
        let (metadata, proxy) = match event {
            Event::Key {
                key,
                evict,
                metadata,
                store,
            } => {
                let proxy = Proxy::of_key(&self.store(store)?, key);
                (metadata, if evict { proxy.evicting()? } else { proxy })
            }
            Event::Object {
                frame,
                metadata,
                store,
            } => {
                if let Some(place) = &store {
                    refuse_if_sealed(place)?;
                }
                let proxy = Proxy::of_object(Object::parse(frame)?);
                // What cannot be decoded says so when it is used, like what lies in a store.
                let _ = proxy.resolve();
                (metadata, proxy)
            }
            Event::End => return Ok(None),
        };
        Ok(Some(Received {
            topic: self.topic.clone(),
            metadata,
            proxy,
        }))
    }

    fn discard(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Key {
                key,
                evict: true,
                store,
                ..
            } => self.store(store)?.evict(&key),
            _ => Ok(()),
        }
    }

    fn store(&mut self, place: StorePlace) -> Result<Store> {
        if let Some((last, store)) = &self.last_store
            && *last == place
        {
            return Ok(store.clone());
        }
        let store = place.store()?;
        self.last_store = Some((place, store.clone()));
        Ok(store)
    }
}

/// A store that takes only what is signed or encrypted sends nothing in events.
fn refuse_if_sealed(place: &StorePlace) -> Result<()> {
    let store = crate::Store::registered(&place.name);
    if store.is_some_and(|store| store.connector().capability().sealed) {
        return Err(sealed(&place.name));
    }
    Ok(())
}

/// The error for an object in an event of a store that takes only what is signed or encrypted.
#[must_use]
pub fn sealed(store: &str) -> crate::Error {
    crate::Error::new(
        crate::ErrorKind::Untrusted,
        format!(
            "an object in an event that was refused: the store {store:?} takes signed or encrypted \
             objects only, which do not travel in events"
        ),
    )
}

impl<T: Decode + Send + Sync + 'static> Iterator for StreamConsumer<T> {
    type Item = Result<Received<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receive(None).transpose()
    }
}

impl<T> fmt::Debug for Received<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("topic", &self.topic)
            .field("metadata", &self.metadata)
            .field("proxy", &self.proxy)
            .finish()
    }
}

impl<T> fmt::Debug for StreamConsumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConsumer")
            .field("topic", &self.topic)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
