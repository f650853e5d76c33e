//! The sending end of a stream.

use super::{Batches, Event, Inlining, Message, Metadata, Publisher, StorePlace};
use crate::codec::{Encode, Encoded};
use crate::{Blob, Key, Result, Store};
use std::collections::HashMap;
use std::fmt;

type Filter = Box<dyn FnMut(&Metadata) -> bool + Send>;
type Aggregator<T> = Box<dyn FnMut(&[&T]) -> T + Send>;

struct Item<T> {
    value: T,
    evict: bool,
    metadata: Metadata,
}

/// Sends values to topics.
///
/// The values of a topic with a store go into it, and their keys into the events that are
/// published; those of a topic without one, and small ones, travel in the events.
///
/// Dropping a producer sends nothing: call [`close`](Self::close).
///
/// ```
/// use proxystore::stream::{Channel, StreamProducer};
///
/// let channel = Channel::new();
/// let mut producer = StreamProducer::new(channel.publisher()).batch_size(2);
/// producer.send("numbers", 1_i64)?;
/// producer.send("numbers", 2_i64)?; // the batch is full: one message
/// producer.close_topic("numbers")?;
/// producer.close()?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct StreamProducer<T> {
    publisher: Box<dyn Publisher>,
    batches: Batches<Item<T>>,
    default_store: Option<Store>,
    stores: HashMap<String, Option<Store>>,
    filter: Option<Filter>,
    aggregator: Option<Aggregator<T>>,
    inline_below: Option<usize>,
}

impl<T: Encode> StreamProducer<T> {
    /// A producer whose topics have no store: every value travels in its event.
    #[must_use]
    pub fn new(publisher: impl Publisher + 'static) -> Self {
        Self {
            publisher: Box::new(publisher),
            batches: Batches::new(1),
            default_store: None,
            stores: HashMap::new(),
            filter: None,
            aggregator: None,
            inline_below: None,
        }
    }

    /// The store of the topics that have none of their own.
    #[must_use]
    pub fn store(mut self, store: &Store) -> Self {
        self.default_store = Some(store.clone());
        self
    }

    /// The store of one topic; `None` for values in the events.
    #[must_use]
    pub fn topic_store(mut self, topic: &str, store: Option<&Store>) -> Self {
        self.stores.insert(topic.to_owned(), store.cloned());
        self
    }

    /// How many values of a topic make a batch, which is put at once and published as one message;
    /// 1 if not set.
    #[must_use]
    pub fn batch_size(mut self, values: usize) -> Self {
        self.batches = Batches::new(values);
        self
    }

    /// Drops the values for whose metadata `drop` says so.
    #[must_use]
    pub fn filter(mut self, drop: impl FnMut(&Metadata) -> bool + Send + 'static) -> Self {
        self.filter = Some(Box::new(drop));
        self
    }

    /// Makes one value of the values of a batch, which is sent in their place, with the metadata of
    /// all of them; the later ones win.
    #[must_use]
    pub fn aggregator(mut self, make: impl FnMut(&[&T]) -> T + Send + 'static) -> Self {
        self.aggregator = Some(Box::new(make));
        self
    }

    /// Values of topics with a store that are smaller than this many bytes, once encoded, travel in
    /// the event instead; 0 for none. If not set, it is what the publisher finds best, and values
    /// that are to stay in their store go there at any size.
    #[must_use]
    pub fn inline_below(mut self, bytes: usize) -> Self {
        self.inline_below = Some(bytes);
        self
    }

    /// Sends a value that its consumer removes from the store, once its batch is full.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with).
    pub fn send(&mut self, topic: &str, value: T) -> Result<()> {
        self.send_with(topic, value, true, Metadata::new())
    }

    /// Sends a value with metadata, once its batch is full. With `evict`, the first consumer that
    /// resolves it, or drops it by its filter, removes it from the store.
    ///
    /// If sending fails, nothing of the batch was published, this value is dropped, and those that
    /// earlier calls left wait for the next attempt.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the topic was closed; what the store and
    /// the publisher may give.
    pub fn send_with(
        &mut self,
        topic: &str,
        value: T,
        evict: bool,
        metadata: Metadata,
    ) -> Result<()> {
        self.batches.check(topic)?;
        if self.filter.as_mut().is_some_and(|drop| drop(&metadata)) {
            return Ok(());
        }
        let item = Item {
            value,
            evict,
            metadata,
        };
        let Some(mut batch) = self.batches.push(topic, item)? else {
            return Ok(());
        };
        let sent = self.publish(topic, &batch, false);
        if sent.is_err() {
            batch.pop(); // the caller knows of this one
            self.batches.restore(topic, batch);
        }
        sent
    }

    /// Sends what waits in a topic, as a batch that is not full.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with); everything waits for the next attempt then.
    pub fn flush_topic(&mut self, topic: &str) -> Result<()> {
        self.finish(topic, false)
    }

    /// Sends what waits in all topics.
    ///
    /// # Errors
    /// As [`flush_topic`](Self::flush_topic).
    pub fn flush(&mut self) -> Result<()> {
        let mut topics = self.batches.topics();
        topics.sort_unstable();
        topics.iter().try_for_each(|topic| self.flush_topic(topic))
    }

    /// Sends what waits in a topic and tells consumers of its end. One that is closed already stays
    /// so.
    ///
    /// # Errors
    /// As [`flush_topic`](Self::flush_topic); the topic stays open then.
    pub fn close_topic(&mut self, topic: &str) -> Result<()> {
        if !self.batches.is_closed(topic) {
            self.finish(topic, true)?;
            self.batches.close(topic);
        }
        Ok(())
    }

    /// Sends what waits, and closes the publisher. Topics are not ended by it.
    ///
    /// # Errors
    /// As [`flush_topic`](Self::flush_topic).
    pub fn close(&mut self) -> Result<()> {
        self.flush()?;
        self.publisher.close()
    }

    fn finish(&mut self, topic: &str, end: bool) -> Result<()> {
        let items = self.batches.take(topic);
        if items.is_empty() && !end {
            return Ok(());
        }
        let sent = self.publish(topic, &items, end);
        if sent.is_err() {
            self.batches.restore(topic, items);
        }
        sent
    }

    fn publish(&mut self, topic: &str, items: &[Item<T>], end: bool) -> Result<()> {
        let store = match self.stores.get(topic) {
            Some(own) => own.clone(),
            None => self.default_store.clone(),
        };
        let aggregated = match &mut self.aggregator {
            Some(make) if !items.is_empty() => Some(aggregate(make, items)),
            _ => None,
        };
        let items = aggregated.as_ref().map_or(items, std::slice::from_ref);
        // What is signed or encrypted in its store does not travel beside it as it is.
        let is_sealed = store
            .as_ref()
            .is_some_and(|store| store.connector().capability().sealed);
        let inlining = match self.inline_below {
            _ if is_sealed => Inlining::new(0),
            Some(below) => Inlining::new(below).kept_too(true),
            None => Inlining::new(self.publisher.inline_below()),
        };
        let mut keys = Vec::new();
        let mut events = match &store {
            None => events_without_store(items)?,
            Some(store) => events_of_store(store, items, inlining, &mut keys)?,
        };
        if end {
            events.push(Event::End);
        }
        let mut message = Message::new(topic, events);
        message.is_batch = message.events.len() != 1;
        let encoded = message.encode();
        let sent = encoded.and_then(|encoded| {
            encoded.with_payload(|payload| self.publisher.send(topic, payload))
        });
        if let (Err(_), Some(store)) = (&sent, &store) {
            // The failure says more than a second one from here.
            let _ = store.evict_batch(&keys);
        }
        sent
    }
}

fn aggregate<T>(make: &mut Aggregator<T>, items: &[Item<T>]) -> Item<T> {
    let values: Vec<_> = items.iter().map(|item| &item.value).collect();
    let mut metadata = Metadata::new();
    for item in items {
        metadata.update(&item.metadata);
    }
    Item {
        value: make(&values),
        evict: items.iter().any(|item| item.evict),
        metadata,
    }
}

fn events_without_store<T: Encode>(items: &[Item<T>]) -> Result<Vec<Event>> {
    let event = |item: &Item<T>| {
        Ok(Event::Object {
            frame: frame_of(&item.value.encode()?),
            metadata: item.metadata.clone(),
            store: None,
        })
    };
    items.iter().map(event).collect()
}

fn events_of_store<T: Encode>(
    store: &Store,
    items: &[Item<T>],
    mut inlining: Inlining,
    keys: &mut Vec<Key>,
) -> Result<Vec<Event>> {
    let encoded = items
        .iter()
        .map(|item| item.value.encode())
        .collect::<Result<Vec<_>>>()?;
    let takes: Vec<_> = encoded
        .iter()
        .zip(items)
        .map(|(value, item)| inlining.takes(value.builder().total_len(), item.evict))
        .collect();
    let large: Vec<_> = encoded
        .iter()
        .zip(&takes)
        .filter_map(|(value, inline)| (!inline).then_some(value))
        .collect();
    if !large.is_empty() {
        *keys = store.put_encoded(&large)?;
    }
    let place = StorePlace::of(store);
    let mut next = keys.iter();
    let mut events = Vec::with_capacity(items.len() + 1);
    for ((item, value), inline) in items.iter().zip(&encoded).zip(&takes) {
        let (metadata, store) = (item.metadata.clone(), place.clone());
        let key = if *inline { None } else { next.next() };
        events.push(match key {
            Some(key) => Event::Key {
                key: key.clone(),
                evict: item.evict,
                metadata,
                store,
            },
            None => Event::Object {
                frame: frame_of(value),
                metadata,
                store: Some(store),
            },
        });
    }
    Ok(events)
}

fn frame_of(value: &Encoded<'_>) -> Blob {
    value.with_payload(|payload| Blob::from(payload.to_vec()))
}

impl<T> fmt::Debug for StreamProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamProducer")
            .field("default_store", &self.default_store)
            .field("inline_below", &self.inline_below)
            .finish_non_exhaustive()
    }
}
