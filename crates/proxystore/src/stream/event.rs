//! What a producer tells its consumers.

use super::Metadata;
use crate::codec::tree::Value;
use crate::{Blob, Key, Reference, Result, Store};
use std::fmt;

/// Where the store of an event is.
///
/// `Debug` hides the URL, which may hold a password.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct StorePlace {
    /// Name of the store.
    pub name: String,
    /// What opens its connector; `None` if only some programs can.
    pub url: Option<String>,
    /// How a Python program opens it, where that says more than the URL; otherwise
    /// [`Value::Nil`].
    pub python: Value,
}

impl StorePlace {
    /// The place of a store, as other processes reach it.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self {
            name: store.name().to_owned(),
            url: store.connector().url(),
            python: Value::Nil,
        }
    }

    /// The registered store of this name, or else one that is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the store has no URL, and what
    /// opening may give.
    pub fn store(&self) -> Result<Store> {
        if let Some(store) = Store::registered(&self.name) {
            return Ok(store);
        }
        match &self.url {
            Some(url) => Store::of_reference(&Reference::new(&self.name, url, Key::fresh())?),
            None => Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                format!(
                    "the store {:?} of this event cannot be opened here: its connector has no URL. \
                     Register a store of that name, or have the producer use files or Redis",
                    self.name
                ),
            )),
        }
    }
}

impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePlace({:?})", self.name)
    }
}

/// One event of a topic.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A value was put into a store.
    Key {
        /// Its key there.
        key: Key,
        /// Whether it is removed from the store once a consumer resolved or dropped it.
        evict: bool,
        /// What was sent along.
        metadata: Metadata,
        /// Its store.
        store: StorePlace,
    },
    /// A value that travels in the event.
    Object {
        /// The value's [frame](crate::frame).
        frame: Blob,
        /// What was sent along.
        metadata: Metadata,
        /// The store of its topic, if that has one: the value was too small for it.
        store: Option<StorePlace>,
    },
    /// The producer closed the topic: nothing more comes.
    End,
}

impl Event {
    /// What was sent along; `None` for the end of the stream.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Key { metadata, .. } | Self::Object { metadata, .. } => Some(metadata),
            Self::End => None,
        }
    }

    pub(super) fn store(&self) -> Option<&StorePlace> {
        match self {
            Self::Key { store, .. } => Some(store),
            Self::Object { store, .. } => store.as_ref(),
            Self::End => None,
        }
    }
}

/// What is published at once: events of one topic, in order.
///
/// ```
/// use proxystore::stream::{Event, Message};
///
/// let message = Message::new("topic", vec![Event::End]);
/// let bytes = message.encode(|encoded| encoded.with_payload(|payload| payload.to_vec()))?;
/// let again = Message::decode(bytes.into())?;
/// assert_eq!(again.topic, "topic");
/// assert!(matches!(again.events[..], [Event::End]));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Message {
    /// Topic of all the events.
    pub topic: String,
    /// The events, in order.
    pub events: Vec<Event>,
    /// Whether Python's `bytes_to_event` returns a batch; if not, there is one event.
    pub(super) is_batch: bool,
}

impl Message {
    /// A batch of events.
    #[must_use]
    pub fn new(topic: impl Into<String>, events: Vec<Event>) -> Self {
        Self {
            topic: topic.into(),
            events,
            is_batch: true,
        }
    }
}
