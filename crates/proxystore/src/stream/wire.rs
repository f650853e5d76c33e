//! Events of Rust programs as messages, and back.

use super::form::{EncodedMessage, Form, Pieces, Row, no_event};
use super::{Event, Message, Metadata, StorePlace};
use crate::codec::Object;
use crate::codec::message_pack::{Reader, Token};
use crate::codec::tree::{self, Value};
use crate::frame::Codec;
use crate::{Blob, Key, Result};
use serde::de::DeserializeOwned;
use serde::ser::{Serialize, SerializeMap, Serializer};
use smallvec::SmallVec;

/// The packed parts of one event.
pub(super) struct Packed {
    key: Vec<u8>,
    metadata: Vec<u8>,
}

impl Packed {
    pub(super) fn of(key: Option<&Key>, metadata: &Metadata) -> Result<Self> {
        Ok(Self {
            key: key.map_or(Ok(Vec::new()), |key| tree::pack(key.as_str()))?,
            metadata: tree::pack(metadata)?,
        })
    }

    pub(super) fn key_row(&self, evict: bool, store: usize) -> Row<'_, Pieces<'_>> {
        Row::Key {
            key: &self.key,
            key_type: None,
            evict,
            metadata: &self.metadata,
            store,
        }
    }

    pub(super) fn object_row<'a>(
        &'a self,
        frame: Pieces<'a>,
        store: Option<usize>,
    ) -> Row<'a, Pieces<'a>> {
        Row::Object {
            frame,
            metadata: &self.metadata,
            store,
        }
    }
}

impl StorePlace {
    pub(super) fn pack(&self) -> Result<Vec<u8>> {
        tree::pack(&StoreForm(self))
    }
}

impl Message {
    /// Calls `use_it` with the message as a frame.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) for what is longer than MessagePack takes.
    pub fn encode<R>(&self, use_it: impl FnOnce(&EncodedMessage<'_>) -> R) -> Result<R> {
        let mut stores: Vec<&StorePlace> = Vec::new();
        let mut place_of = |store| {
            stores
                .iter()
                .position(|known| *known == store)
                .unwrap_or_else(|| {
                    stores.push(store);
                    stores.len() - 1
                })
        };
        let places: Vec<_> = self
            .events
            .iter()
            .map(|event| event.store().map(&mut place_of))
            .collect();
        let none = Metadata::new();
        let packed = self
            .events
            .iter()
            .map(|event| {
                let key = match event {
                    Event::Key { key, .. } => Some(key),
                    _ => None,
                };
                Packed::of(key, event.metadata().unwrap_or(&none))
            })
            .collect::<Result<Vec<_>>>()?;
        let stores = stores
            .iter()
            .map(|store| store.pack())
            .collect::<Result<Vec<_>>>()?;
        let mut form = Form::new(&self.topic);
        form.is_batch = self.is_batch;
        form.stores.extend(stores.iter().map(|store| &**store));
        for ((event, packed), place) in self.events.iter().zip(&packed).zip(places) {
            form.rows.push(match (event, place) {
                (Event::Key { evict, .. }, Some(place)) => packed.key_row(*evict, place),
                (Event::Object { frame, .. }, _) => {
                    packed.object_row(SmallVec::from_slice(&[&**frame]), place)
                }
                _ => Row::End,
            });
        }
        Ok(use_it(&form.encode()))
    }

    /// Reads the bytes of a message, which a producer in any language sent.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) if they are no message, or one that
    /// only Python reads; [`ErrorKind::NewerFrame`](crate::ErrorKind::NewerFrame) if a newer release
    /// wrote it; [`ErrorKind::InvalidFrame`](crate::ErrorKind::InvalidFrame) if it is damaged.
    pub fn decode(bytes: Blob) -> Result<Self> {
        let object = Object::parse(bytes)?;
        object.expect(Codec::MessagePack, "Message")?;
        let form = Form::read(object.stream(), |index| object.buffer(index).ok())?;
        let stores = form
            .stores
            .iter()
            .map(|store| place(&object, store))
            .collect::<Result<Vec<_>>>()?;
        let events = form
            .rows
            .into_iter()
            .map(|row| event(row, &stores, &object))
            .collect::<Result<_>>()?;
        Ok(Self {
            topic: form.topic.to_owned(),
            events,
            is_batch: form.is_batch,
        })
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

fn place(message: &Object, packed: &[u8]) -> Result<StorePlace> {
    let Value::Map(fields) = unpack(message, packed)? else {
        return Err(no_event("a store of it is no map"));
    };
    let mut place = StorePlace {
        name: String::new(),
        url: None,
        python: Value::Nil,
    };
    for (name, value) in fields {
        let Value::Str(name) = name else { continue };
        match (name.as_str(), value) {
            ("name", Value::Str(text)) => place.name = text,
            ("url", Value::Str(text)) => place.url = Some(text),
            ("python", value) => place.python = value,
            _ => {}
        }
    }
    Ok(place)
}

/// A packed value, which may be a frame of its own.
fn unpack<T: DeserializeOwned>(message: &Object, packed: &[u8]) -> Result<T> {
    match Reader::new(packed).token()? {
        Token::Bytes(frame) => tree::decode(&Object::parse(Blob::copy_from(frame))?),
        _ => tree::unpack(message, packed),
    }
}

fn event(row: Row<'_, &[u8]>, stores: &[StorePlace], message: &Object) -> Result<Event> {
    let no_store = || no_event("it names a store that it does not have");
    match row {
        Row::End => Ok(Event::End),
        Row::Object {
            frame,
            metadata,
            store,
        } => Ok(Event::Object {
            frame: part_of(message.blob(), frame),
            metadata: unpack(message, metadata)?,
            store: store
                .map(|place| stores.get(place).cloned().ok_or_else(no_store))
                .transpose()?,
        }),
        Row::Key {
            key,
            evict,
            metadata,
            store,
            ..
        } => {
            let Ok(Value::Str(name)) = unpack::<Value>(message, key) else {
                return Err(no_event(
                    "its key is of a connector that only its producer's language has",
                ));
            };
            Ok(Event::Key {
                key: Key::new(&name)?,
                evict,
                metadata: unpack(message, metadata)?,
                store: stores.get(store).cloned().ok_or_else(no_store)?,
            })
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
