//! Objects that are sent: into their store or into the event, and the events into a message.

use super::kind;
use super::packed::packed;
use crate::backend::joined;
use crate::codec::{self, Encoded, Pickles};
use crate::store::PyStore;
use proxystore::frame::FrameBuilder;
use proxystore::stream::Inlining;
use proxystore::stream::form::{Form, Pieces, Row};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

/// An object, whether it is evicted once it was resolved, and what is sent along with it.
type Item<'py> = (Bound<'py, PyAny>, bool, Bound<'py, PyAny>);

/// An event that is to be written.
struct Event<'py> {
    content: Content<'py>,
    metadata: Vec<u8>,
    /// Place among the message's stores.
    store: Option<usize>,
}

enum Content<'py> {
    End,
    Object(Box<Encoded>),
    Frame(Bound<'py, PyBytes>),
    Key {
        key: Vec<u8>,
        key_type: Option<Bound<'py, PyString>>,
        evict: bool,
    },
}

/// Where an object went.
enum Placed<'py> {
    Inline(Box<Encoded>),
    Put(Bound<'py, PyAny>),
}

/// Puts the objects that do not travel in the event, by the rule of [`Inlining`], as one batch.
fn place<'py>(
    store: &Bound<'py, PyStore>,
    items: impl Iterator<Item = (Bound<'py, PyAny>, bool)>,
    below: usize,
    kept_too: bool,
) -> PyResult<Vec<Placed<'py>>> {
    let py = store.py();
    let opened = store.get().opened()?;
    // What is signed or encrypted in its store does not travel beside it as it is.
    let below = if opened.backend.demands_key() {
        0
    } else {
        below
    };
    let mut inlining = Inlining::new(below).kept_too(kept_too);
    let (mut placed, mut large) = (Vec::new(), Vec::new());
    for (obj, evict) in items {
        let encoded = PyStore::encode(opened, &obj, None, false)?;
        if inlining.takes(encoded.total_len(py), evict) {
            placed.push(Some(Placed::Inline(Box::new(encoded))));
        } else {
            large.push(encoded);
            placed.push(None);
        }
    }
    let keys = match large.as_slice() {
        [] => Vec::new(),
        [one] => vec![opened.backend.put(py, one, None, None)?],
        several => opened.backend.put_batch(py, several, None, None)?,
    };
    let mut keys = keys.into_iter();
    let placed = placed.into_iter();
    // A connector that gave fewer keys than it was given objects is its writer's.
    let key = |one: Option<_>| one.or_else(|| keys.next().map(Placed::Put));
    placed.map(key).collect::<Option<_>>().ok_or_else(|| {
        PyTypeError::new_err("put_batch() gave fewer keys than it was given objects")
    })
}

/// Puts the objects that do not travel in the event. Returns, in order, their keys, and for the
/// others the frames themselves.
#[pyfunction]
pub(super) fn put_or_frame<'py>(
    store: &Bound<'py, PyStore>,
    items: Vec<Item<'py>>,
    below: usize,
    kept_too: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = store.py();
    let items = items.into_iter().map(|(obj, evict, _)| (obj, evict));
    let result = |placed| match placed {
        Placed::Inline(encoded) => joined(py, &encoded).into_any(),
        Placed::Put(key) => key,
    };
    let placed = place(store, items, below, kept_too)?;
    Ok(placed.into_iter().map(result).collect())
}

/// A message, and the keys of what was put for it.
type Message<'py> = (Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>);

/// The store of a topic: itself, its packed fields, and the class of keys that need not be named.
type StoreOf<'py> = (
    Bound<'py, PyStore>,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyType>>,
);

/// Puts objects into their store or into the message.
#[pyfunction]
pub(super) fn put_message<'py>(
    topic: &Bound<'py, PyString>,
    items: Vec<Item<'py>>,
    end: bool,
    store: Option<StoreOf<'py>>,
    below: usize,
    kept_too: bool,
) -> PyResult<Message<'py>> {
    let py = topic.py();
    let mut events = Vec::with_capacity(items.len() + 1);
    let mut keys = Vec::new();
    let pickles = match &store {
        Some((store, ..)) => store.get().opened()?.pickles,
        None => Pickles::Load,
    };
    // Before anything is put: what fails leaves nothing behind.
    let metadata = items
        .iter()
        .map(|(_, _, metadata)| packed(metadata, pickles))
        .collect::<PyResult<Vec<_>>>()?;
    let fields = store.as_ref().filter(|_| !items.is_empty());
    let fields = fields.map(|(_, fields, _)| fields.clone());
    match &store {
        None => {
            for ((obj, _, _), metadata) in items.iter().zip(metadata) {
                events.push(Event {
                    content: Content::Object(Box::new(codec::encode(obj)?)),
                    metadata,
                    store: None,
                });
            }
        }
        Some((store, _, key_class)) => {
            let evicts: Vec<_> = items.iter().map(|(_, evict, _)| *evict).collect();
            let items = items.into_iter().map(|(obj, evict, _)| (obj, evict));
            let placed = place(store, items, below, kept_too)?;
            keys.extend(placed.iter().filter_map(|placed| match placed {
                Placed::Inline(_) => None,
                Placed::Put(key) => Some(key.clone()),
            }));
            for ((placed, metadata), evict) in placed.into_iter().zip(metadata).zip(evicts) {
                let content = match placed {
                    Placed::Inline(encoded) => Content::Object(encoded),
                    Placed::Put(key) => content_of_key(&key, key_class.as_ref(), evict)
                        .map_err(|error| withdraw(store, &keys, error))?,
                };
                events.push(Event {
                    content,
                    metadata,
                    store: Some(0),
                });
            }
        }
    }
    if end {
        events.push(Event {
            content: Content::End,
            metadata: Vec::new(),
            store: None,
        });
    }
    let written = write(py, topic, true, fields.as_slice(), &events);
    let message = match (written, &store) {
        (Err(error), Some((store, ..))) => return Err(withdraw(store, &keys, error)),
        (written, _) => written?,
    };
    Ok((message, keys))
}

/// Evicts what was put for a message that cannot be sent. The failure says more than a second one.
fn withdraw(store: &Bound<'_, PyStore>, keys: &[Bound<'_, PyAny>], error: PyErr) -> PyErr {
    for key in keys {
        let _ = store.get().evict_key(key);
    }
    error
}

fn content_of_key<'py>(
    key: &Bound<'py, PyAny>,
    known: Option<&Bound<'py, PyType>>,
    evict: bool,
) -> PyResult<Content<'py>> {
    let py = key.py();
    let class = key.get_type();
    let key_type = if known.is_some_and(|known| class.is(known)) {
        None
    } else {
        static KEY_PATH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let path = KEY_PATH.import(py, "proxystore.stream.events", "key_path")?;
        Some(path.call1((class,))?.cast_into::<PyString>()?)
    };
    let fields = PyTuple::new(py, key.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
    Ok(Content::Key {
        key: packed_key(fields.as_any())?,
        key_type,
        evict,
    })
}

/// The fields of a key: text where there is one alone, otherwise a list.
fn packed_key(fields: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if fields.len()? == 1 {
        let first = fields.get_item(0)?;
        if first.is_exact_instance_of::<PyString>() {
            return packed(&first, Pickles::Load);
        }
    }
    let list = fields.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let list = pyo3::types::PyList::new(fields.py(), list)?;
    packed(list.as_any(), Pickles::Load)
}

/// Writes a message of events that were made in Python: `rows` as `read_message` returns them, but
/// with places in `stores` instead of recipes.
#[pyfunction]
pub(super) fn write_message<'py>(
    topic: &Bound<'py, PyString>,
    is_batch: bool,
    stores: Vec<Bound<'py, PyBytes>>,
    rows: Vec<Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyAny>> {
    let events = rows.iter().map(event_of).collect::<PyResult<Vec<_>>>()?;
    write(topic.py(), topic, is_batch, &stores, &events)
}

fn event_of<'py>(row: &Bound<'py, PyTuple>) -> PyResult<Event<'py>> {
    let kind: u8 = row.get_item(0)?.extract()?;
    if kind == kind::END {
        return Ok(Event {
            content: Content::End,
            metadata: Vec::new(),
            store: None,
        });
    }
    let content = row.get_item(2)?;
    Ok(Event {
        metadata: packed(&row.get_item(1)?, Pickles::Load)?,
        content: match kind {
            kind::VALUE => Content::Object(Box::new(codec::encode(&content)?)),
            kind::INLINE => Content::Frame(content.cast_into::<PyBytes>()?),
            _ => Content::Key {
                key: packed_key(&content)?,
                evict: row.get_item(4)?.is_truthy()?,
                key_type: row.get_item(5)?.extract()?,
            },
        },
        store: row.get_item(3)?.extract()?,
    })
}

fn write<'py>(
    py: Python<'py>,
    topic: &Bound<'py, PyString>,
    is_batch: bool,
    stores: &[Bound<'py, PyBytes>],
    events: &[Event<'py>],
) -> PyResult<Bound<'py, PyAny>> {
    let builders: Vec<_> = events
        .iter()
        .map(|event| match &event.content {
            Content::Object(encoded) => Some(encoded.builder(py)),
            _ => None,
        })
        .collect();
    let heads: Vec<_> = builders
        .iter()
        .map(|builder| builder.as_ref().map(FrameBuilder::head))
        .collect();
    let mut form: Form<'_, Pieces<'_>> = Form::new(topic.to_str()?);
    form.is_batch = is_batch;
    form.stores
        .extend(stores.iter().map(|store| store.as_bytes()));
    for (index, event) in events.iter().enumerate() {
        let frame = match (&event.content, &builders[index], &heads[index]) {
            (Content::Frame(frame), ..) => Pieces::from_slice(&[frame.as_bytes()]),
            (_, Some(builder), Some(head)) => {
                builder.payload(head).pieces().iter().copied().collect()
            }
            _ => Pieces::new(),
        };
        form.rows.push(match &event.content {
            Content::End => Row::End,
            Content::Key {
                key,
                key_type,
                evict,
            } => Row::Key {
                key,
                key_type: key_type.as_ref().map(|path| path.to_str()).transpose()?,
                evict: *evict,
                metadata: &event.metadata,
                store: event.store.unwrap_or_default(),
            },
            Content::Object(_) | Content::Frame(_) => Row::Object {
                frame,
                metadata: &event.metadata,
                store: event.store,
            },
        });
    }
    form.encode().with_payload(|payload| {
        codec::new_bytes(py, payload.len(), |target| payload.copy_to(target))
    })
}
