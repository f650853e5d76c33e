//! Events as bytes: `docs/streams.md` has every field.

use super::{Event, Message, Metadata, StorePlace};
use crate::codec::tree::{self, Value};
use crate::codec::{Encoded, Object};
use crate::{Blob, Error, ErrorKind, Key, Result};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Version of the form. `ProxyStore` 1.x's events have none.
const VERSION: u64 = 2;

const END: &str = "end";
const OBJECT: &str = "object";
const KEY: &str = "key";

impl Message {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] for what is longer than MessagePack takes.
    pub fn encode(&self) -> Result<Encoded<'_>> {
        let mut stores: Vec<&StorePlace> = Vec::new();
        let mut places = Vec::with_capacity(self.events.len());
        for event in &self.events {
            places.push(event.store().map(|store| {
                let known = stores.iter().position(|known| *known == store);
                known.unwrap_or_else(|| {
                    stores.push(store);
                    stores.len() - 1
                })
            }));
        }
        tree::encode(&MessageForm {
            message: self,
            stores: &stores,
            places: &places,
        })
    }

    /// Reads the bytes of a message, which a producer in any language sent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if they are no message, or one that only Python reads;
    /// [`ErrorKind::NewerFrame`] if a newer release wrote it; [`ErrorKind::InvalidFrame`] if it is
    /// damaged.
    pub fn decode(bytes: Blob) -> Result<Self> {
        let object = Object::parse(bytes)?;
        let read: ReadMessage<'_> = tree::decode_borrowed(&object)?;
        if read.version == 0 {
            return Err(no_event(
                "it has no version (only Python reads ProxyStore 1.x's)",
            ));
        }
        if read.version != VERSION {
            return Err(newer(&format!("version {}", read.version)));
        }
        let events = read
            .events
            .into_iter()
            .map(|row| row.event(&read.stores, &object))
            .collect::<Result<_>>()?;
        Ok(Self {
            topic: read.topic,
            events,
            is_batch: read.is_batch,
        })
    }
}

fn newer(what: &str) -> Error {
    Error::new(
        ErrorKind::NewerFrame,
        format!(
            "this event has {what}, which this release does not read: upgrade proxystore on the \
             consumer first"
        ),
    )
}

fn no_event(why: &str) -> Error {
    Error::new(
        ErrorKind::WrongType,
        format!("this message is no event of a stream: {why}"),
    )
}

struct MessageForm<'a> {
    message: &'a Message,
    stores: &'a [&'a StorePlace],
    places: &'a [Option<usize>],
}

impl Serialize for MessageForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("topic", &self.message.topic)?;
        map.serialize_entry("batch", &self.message.is_batch)?;
        map.serialize_entry("stores", &StoreForms(self.stores))?;
        map.serialize_entry("events", &EventForms(self))?;
        map.end()
    }
}

struct StoreForms<'a>(&'a [&'a StorePlace]);

impl Serialize for StoreForms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|store| StoreForm(store)))
    }
}

struct StoreForm<'a>(&'a StorePlace);

impl Serialize for StoreForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_more = self.0.python != Value::Nil;
        let mut map = serializer.serialize_map(Some(2 + usize::from(has_more)))?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("url", &self.0.url)?;
        if has_more {
            map.serialize_entry("python", &self.0.python)?;
        }
        map.end()
    }
}

struct EventForms<'a>(&'a MessageForm<'a>);

impl Serialize for EventForms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let events = &self.0.message.events;
        let mut rows = serializer.serialize_seq(Some(events.len()))?;
        for (event, place) in events.iter().zip(self.0.places) {
            rows.serialize_element(&EventForm {
                event,
                place: *place,
            })?;
        }
        rows.end()
    }
}

struct EventForm<'a> {
    event: &'a Event,
    place: Option<usize>,
}

impl Serialize for EventForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_store = usize::from(self.place.is_some());
        let mut map = match self.event {
            Event::End => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("type", END)?;
                return map.end();
            }
            Event::Object {
                frame, metadata, ..
            } => {
                let mut map = serializer.serialize_map(Some(3 + has_store))?;
                map.serialize_entry("type", OBJECT)?;
                map.serialize_entry("object", &Bytes(frame))?;
                map.serialize_entry("metadata", metadata)?;
                map
            }
            Event::Key {
                key,
                evict,
                metadata,
                ..
            } => {
                let mut map = serializer.serialize_map(Some(4 + has_store))?;
                map.serialize_entry("type", KEY)?;
                map.serialize_entry("key", key.as_str())?;
                map.serialize_entry("evict", evict)?;
                map.serialize_entry("metadata", metadata)?;
                map
            }
        };
        if let Some(place) = self.place {
            map.serialize_entry("store", &place)?;
        }
        map.end()
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A map of named fields, read one by one; names that are not known are of newer releases.
trait Fields<'de>: Default {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

struct FieldsOf<F>(PhantomData<F>);

impl<'de, F: Fields<'de>> Visitor<'de> for FieldsOf<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the named fields of a stream's event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        let mut fields = F::default();
        while let Some(name) = map.next_key::<&'de str>()? {
            fields.field(name, &mut map)?;
        }
        Ok(fields)
    }
}

macro_rules! read_fields {
    ($($type:ident),+) => {$(
        impl<'de> Deserialize<'de> for $type<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(FieldsOf(PhantomData))
            }
        }
    )+};
}

read_fields!(ReadMessage, ReadStore, ReadEvent);

#[derive(Default)]
struct ReadMessage<'de> {
    version: u64,
    topic: String,
    is_batch: bool,
    stores: Vec<ReadStore<'de>>,
    events: Vec<ReadEvent<'de>>,
}

impl<'de> Fields<'de> for ReadMessage<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.version = map.next_value()?,
            "topic" => self.topic = map.next_value()?,
            "batch" => self.is_batch = map.next_value()?,
            // What another version has here is nobody's business.
            "stores" if self.version == VERSION => self.stores = map.next_value()?,
            "events" if self.version == VERSION => self.events = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

struct ReadStore<'de> {
    place: StorePlace,
    of: PhantomData<&'de ()>,
}

impl Default for ReadStore<'_> {
    fn default() -> Self {
        let place = StorePlace {
            name: String::new(),
            url: None,
            python: Value::Nil,
        };
        Self {
            place,
            of: PhantomData,
        }
    }
}

impl<'de> Fields<'de> for ReadStore<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.place.name = map.next_value()?,
            "url" => self.place.url = map.next_value()?,
            "python" => self.place.python = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

#[derive(Default)]
struct ReadEvent<'de> {
    kind: &'de str,
    object: Option<&'de [u8]>,
    key: Option<Value>,
    evict: bool,
    metadata: Metadata,
    store: Option<usize>,
}

impl<'de> Fields<'de> for ReadEvent<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => self.kind = map.next_value()?,
            "object" => self.object = Some(map.next_value()?),
            "key" => self.key = Some(map.next_value()?),
            "evict" => self.evict = map.next_value()?,
            "metadata" => self.metadata = map.next_value()?,
            "store" => self.store = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl ReadEvent<'_> {
    fn event(self, stores: &[ReadStore<'_>], message: &Object) -> Result<Event> {
        let store = match self.store {
            None => None,
            Some(place) => {
                let found = stores.get(place).map(|store| store.place.clone());
                Some(found.ok_or_else(|| no_event("it names a store that it does not have"))?)
            }
        };
        match self.kind {
            END => Ok(Event::End),
            OBJECT => {
                let bytes = self.object.ok_or_else(|| no_event("it has no object"))?;
                Ok(Event::Object {
                    frame: part_of(message.blob(), bytes),
                    metadata: self.metadata,
                    store,
                })
            }
            KEY => {
                let key = match self.key {
                    Some(Value::Str(name)) => Key::new(&name)?,
                    _ => {
                        return Err(no_event(
                            "its key is of a connector that only its producer's language has",
                        ));
                    }
                };
                Ok(Event::Key {
                    key,
                    evict: self.evict,
                    metadata: self.metadata,
                    store: store.ok_or_else(|| no_event("its key is of no store"))?,
                })
            }
            other => Err(newer(&format!("the type {other:?}"))),
        }
    }
}

/// The frame of a value where it lies in its message, if it is aligned as arrays want it there.
fn part_of(message: &Blob, bytes: &[u8]) -> Blob {
    let start = bytes.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
    let lies_inside = start
        .checked_add(bytes.len())
        .is_some_and(|end| end <= message.len());
    if lies_inside && bytes.as_ptr().addr().is_multiple_of(crate::blob::ALIGN) {
        message.slice(start..start + bytes.len())
    } else {
        Blob::copy_from(bytes)
    }
}
