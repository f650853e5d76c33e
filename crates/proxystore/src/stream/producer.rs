//! The sending end of a stream.

use super::form::{EncodedMessage, Form, Row};
use super::wire::Packed;
use super::{Batches, Inlining, Metadata, Publisher, StorePlace};
use crate::codec::{Encode, Encoded};
use crate::frame::FrameBuilder;
use crate::{Key, Result, Store};
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
        let topics = self.batches.topics();
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
        let encoded = items
            .iter()
            .map(|item| item.value.encode())
            .collect::<Result<Vec<_>>>()?;
        let keys = match &store {
            None => vec![None; items.len()],
            Some(store) => put(store, items, &encoded, inlining)?,
        };
        let publisher = &mut self.publisher;
        let sent = with_message(
            topic,
            store.as_ref(),
            items,
            &encoded,
            &keys,
            end,
            |message| message.with_payload(|payload| publisher.send(topic, payload)),
        );
        if let (Err(_), Some(store)) = (&sent, &store) {
            let keys: Vec<_> = keys.into_iter().flatten().collect();
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

/// Puts those values that do not travel in the event, and returns their keys.
fn put<T>(
    store: &Store,
    items: &[Item<T>],
    encoded: &[Encoded<'_>],
    mut inlining: Inlining,
) -> Result<Vec<Option<Key>>> {
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
    let mut keys = Vec::new();
    if !large.is_empty() {
        keys = store.put_encoded(&large)?;
    }
    let mut keys = keys.into_iter();
    let key = |inline: bool| if inline { None } else { keys.next() };
    Ok(takes.into_iter().map(key).collect())
}

/// Calls `send` with the message; values that have no key are in it by reference.
fn with_message<T>(
    topic: &str,
    store: Option<&Store>,
    items: &[Item<T>],
    encoded: &[Encoded<'_>],
    keys: &[Option<Key>],
    end: bool,
    send: impl FnOnce(&EncodedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let packed = items
        .iter()
        .zip(keys)
        .map(|(item, key)| Packed::of(key.as_ref(), &item.metadata))
        .collect::<Result<Vec<_>>>()?;
    let place = store.filter(|_| !items.is_empty()).map(StorePlace::of);
    let place = place.map(|place| place.pack()).transpose()?;
    let builders: Vec<_> = encoded.iter().map(Encoded::builder).collect();
    let heads: Vec<_> = builders.iter().map(FrameBuilder::head).collect();
    let payloads: Vec<_> = builders
        .iter()
        .zip(&heads)
        .map(|(builder, head)| builder.payload(head))
        .collect();
    let mut form = Form::new(topic);
    form.stores.extend(place.as_deref());
    for (index, item) in items.iter().enumerate() {
        form.rows.push(match &keys[index] {
            Some(_) => packed[index].key_row(item.evict, 0),
            None => {
                let pieces = payloads[index].pieces().iter().copied().collect();
                packed[index].object_row(pieces, store.map(|_| 0))
            }
        });
    }
    if end {
        form.rows.push(Row::End);
    }
    form.is_batch = form.rows.len() != 1;
    send(&form.encode())
}

impl<T> fmt::Debug for StreamProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamProducer")
            .field("default_store", &self.default_store)
            .field("inline_below", &self.inline_below)
            .finish_non_exhaustive()
    }
}
