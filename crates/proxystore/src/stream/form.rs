//! Events as bytes, for programs in any language: `docs/streams.md` has every field.
//!
//! The frame of an envelope is written and read here and nowhere else. What means something to one
//! language alone stays *packed*: one MessagePack value that is not looked at, or, where
//! MessagePack has no form for it, bytes that are a frame of the language's own.

use crate::codec::message_pack::{BufferLeaf, Extension, Reader, Token, Writer};
use crate::frame::{Codec, FrameBuilder};
use crate::{Error, ErrorKind, Payload, Result};
use smallvec::SmallVec;

/// Version of the form. `ProxyStore` 1.x's events have none.
const VERSION: u64 = 2;
/// Objects from this length on lie in a buffer of the message: aligned there, and not part of its
/// checksum, which would be computed on both sides (10 kB: half a microsecond each).
const IN_BUFFER_FROM: usize = 1 << 10;

const END: &str = "end";
const OBJECT: &str = "object";
const KEY: &str = "key";

/// An object's frame that is to be written, in pieces.
pub type Pieces<'a> = SmallVec<[&'a [u8]; 4]>;

/// A message: `O` is the frame of an object, [`Pieces`] of it or all its bytes.
///
/// ```
/// use proxystore::codec::Object;
/// use proxystore::stream::form::{Form, Row};
///
/// let mut form = Form::new("topic");
/// form.rows.push(Row::End);
/// let message = form.encode().with_payload(|payload| payload.to_vec());
/// let object = Object::parse(message.into())?;
/// let form = Form::read(object.stream(), |index| object.buffer(index).ok())?;
/// assert_eq!(form.topic, "topic");
/// assert!(matches!(form.rows[..], [Row::End]));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Form<'a, O> {
    /// Topic of all events.
    pub topic: &'a str,
    /// Whether Python's `bytes_to_event` returns a batch; if not, there is one event.
    pub is_batch: bool,
    /// The stores that events refer to, packed maps.
    pub stores: SmallVec<[&'a [u8]; 1]>,
    /// The events, in order.
    pub rows: SmallVec<[Row<'a, O>; 1]>,
}

/// One event.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a further kind is a further version"
)]
pub enum Row<'a, O> {
    /// The key of an object in a store.
    Key {
        /// Packed: text, or an array of a key's several fields.
        key: &'a [u8],
        /// Path of the key's class in Python, if it is not the connector's own.
        key_type: Option<&'a str>,
        /// Whether the object is removed once it was resolved or dropped.
        evict: bool,
        /// A packed map.
        metadata: &'a [u8],
        /// Place in the form's `stores`.
        store: usize,
    },
    /// An object.
    Object {
        /// Its frame.
        frame: O,
        /// A packed map.
        metadata: &'a [u8],
        /// Place in the form's `stores`, if its topic has a store.
        store: Option<usize>,
    },
    /// The topic was closed.
    End,
}

impl<'a, O> Form<'a, O> {
    /// A batch without events.
    #[must_use]
    pub fn new(topic: &'a str) -> Self {
        Self {
            topic,
            is_batch: true,
            stores: SmallVec::new(),
            rows: SmallVec::new(),
        }
    }
}

/// A message that is to be sent: objects are in it by reference.
#[derive(Clone, Debug, Default)]
pub struct EncodedMessage<'a> {
    own: Writer,
    /// What lies between parts of `own`: up to where, and then what.
    between: SmallVec<[(usize, Pieces<'a>); 1]>,
    buffers: SmallVec<[Pieces<'a>; 1]>,
}

impl<'a> Form<'a, Pieces<'a>> {
    /// The message.
    ///
    /// # Panics
    /// If a part is longer than 2^32 - 1 bytes, but for objects.
    #[must_use]
    pub fn encode(self) -> EncodedMessage<'a> {
        let mut message = EncodedMessage {
            own: Writer(Vec::with_capacity(160)),
            ..EncodedMessage::default()
        };
        let own = &mut message.own;
        own.map_header(5);
        // First, so that readers know whether they know the rest.
        own.text(b"version");
        own.unsigned(VERSION);
        own.text(b"topic");
        own.text(self.topic.as_bytes());
        own.text(b"batch");
        own.boolean(self.is_batch);
        own.text(b"stores");
        own.array_header(self.stores.len());
        for store in self.stores {
            own.0.extend_from_slice(store);
        }
        own.text(b"events");
        own.array_header(self.rows.len());
        for row in self.rows {
            message.row(row);
        }
        message
    }
}

impl<'a> EncodedMessage<'a> {
    fn row(&mut self, row: Row<'a, Pieces<'a>>) {
        let kind = |own: &mut Writer, fields: usize, kind: &str| {
            own.map_header(1 + fields);
            own.text(b"type");
            own.text(kind.as_bytes());
        };
        match row {
            Row::Key {
                key,
                key_type,
                evict,
                metadata,
                store,
            } => {
                let own = &mut self.own;
                kind(own, 4 + usize::from(key_type.is_some()), KEY);
                own.text(b"key");
                own.0.extend_from_slice(key);
                own.text(b"evict");
                own.boolean(evict);
                own.text(b"metadata");
                own.0.extend_from_slice(metadata);
                own.text(b"store");
                own.unsigned(store as u64);
                if let Some(path) = key_type {
                    own.text(b"key_type");
                    own.text(path.as_bytes());
                }
            }
            Row::Object {
                frame,
                metadata,
                store,
            } => {
                kind(&mut self.own, 2 + usize::from(store.is_some()), OBJECT);
                self.own.text(b"object");
                self.object(frame);
                let own = &mut self.own;
                own.text(b"metadata");
                own.0.extend_from_slice(metadata);
                if let Some(place) = store {
                    own.text(b"store");
                    own.unsigned(place as u64);
                }
            }
            Row::End => kind(&mut self.own, 0, END),
        }
    }

    fn object(&mut self, frame: Pieces<'a>) {
        let len: usize = frame.iter().map(|piece| piece.len()).sum();
        if len < IN_BUFFER_FROM {
            self.own.bytes_header(len);
            self.between.push((self.own.0.len(), frame));
        } else {
            BufferLeaf::Bytes.write(&mut self.own, self.buffers.len());
            self.buffers.push(frame);
        }
    }

    /// The frame, by reference.
    #[must_use]
    pub fn builder(&self) -> FrameBuilder<'_> {
        let mut builder = FrameBuilder::new(Codec::MessagePack);
        let mut start = 0;
        for (end, pieces) in &self.between {
            builder.push_stream(&self.own.0[start..*end]);
            for piece in pieces {
                builder.push_stream(piece);
            }
            start = *end;
        }
        builder.push_stream(&self.own.0[start..]);
        for pieces in &self.buffers {
            builder.push_buffer_pieces(pieces.iter().copied());
        }
        builder
    }

    /// Calls `use_it` with what a publisher is given.
    pub fn with_payload<R>(&self, use_it: impl FnOnce(&Payload<'_>) -> R) -> R {
        let builder = self.builder();
        let head = builder.head();
        use_it(&builder.payload(&head))
    }
}

impl<'a> Form<'a, &'a [u8]> {
    /// Reads the stream of a message's frame, whose buffers are given by number.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if it is no message; [`ErrorKind::NewerFrame`] if a newer release
    /// wrote it; [`ErrorKind::InvalidFrame`] if it is damaged.
    pub fn read(stream: &'a [u8], buffer: impl Fn(usize) -> Option<&'a [u8]>) -> Result<Self> {
        let mut fields = Fields {
            reader: Reader::new(stream),
            buffer: &buffer,
        };
        let Token::Map(count) = fields.reader.token()? else {
            return Err(no_event("it holds no map"));
        };
        // What another version has in the rest is nobody's business.
        check_version(fields.reader.clone(), count)?;
        let mut form = Self::new("");
        let (mut topic, mut rows) = (None, None);
        for _ in 0..count {
            match fields.name()? {
                "topic" => topic = Some(fields.text()?),
                "batch" => form.is_batch = fields.boolean()?,
                "stores" => {
                    let stores = 0..fields.array()?;
                    let stores = stores.map(|_| fields.reader.value());
                    form.stores = stores.collect::<Result<_>>()?;
                }
                "events" => {
                    let events = 0..fields.array()?;
                    rows = Some(events.map(|_| fields.row()).collect::<Result<_>>()?);
                }
                _ => drop(fields.reader.value()?),
            }
        }
        form.topic = topic.ok_or_else(|| no_event("it has no topic"))?;
        form.rows = rows.ok_or_else(|| no_event("it has no events"))?;
        form.check()?;
        Ok(form)
    }

    fn check(&self) -> Result<()> {
        for row in &self.rows {
            let (Row::Key { store, .. }
            | Row::Object {
                store: Some(store), ..
            }) = row
            else {
                continue;
            };
            if *store >= self.stores.len() {
                return Err(no_event("it names a store that it does not have"));
            }
        }
        if !self.is_batch && self.rows.len() != 1 {
            return Err(no_event("it is no batch, and holds no one event"));
        }
        Ok(())
    }
}

/// The version is the first field that writers write.
fn check_version(mut reader: Reader<'_>, count: usize) -> Result<()> {
    for _ in 0..count {
        let name = reader.token()?;
        if name != Token::Str(b"version") {
            reader.value()?;
            continue;
        }
        return match reader.token()? {
            Token::Int(found) if found == VERSION as i64 => Ok(()),
            Token::Int(found) => Err(newer(&format!("version {found}"))),
            _ => Err(no_event("its version is no number")),
        };
    }
    Err(no_event(
        "it has no version (only Python reads ProxyStore 1.x's)",
    ))
}

struct Fields<'a, 'b, B> {
    reader: Reader<'a>,
    buffer: &'b B,
}

impl<'a, B: Fn(usize) -> Option<&'a [u8]>> Fields<'a, '_, B> {
    fn name(&mut self) -> Result<&'a str> {
        match self.reader.token()? {
            Token::Str(utf8) => text(utf8),
            _ => Err(no_event("a field's name is no text")),
        }
    }

    fn text(&mut self) -> Result<&'a str> {
        match self.reader.token()? {
            Token::Str(utf8) => text(utf8),
            Token::Extension(number, content)
                if Extension::from_number(number) == Some(Extension::Buffer) =>
            {
                match BufferLeaf::parse(content)? {
                    (BufferLeaf::Str, index) => text(self.buffer(index)?),
                    _ => Err(no_event("a text is something else")),
                }
            }
            _ => Err(no_event("a text is something else")),
        }
    }

    fn integer(&mut self) -> Result<u64> {
        match self.reader.token()? {
            Token::Int(value) => u64::try_from(value).map_err(|_| no_event("a number is negative")),
            Token::Uint(value) => Ok(value),
            _ => Err(no_event("a number is something else")),
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        match self.reader.token()? {
            Token::Bool(value) => Ok(value),
            _ => Err(no_event("a boolean is something else")),
        }
    }

    fn array(&mut self) -> Result<usize> {
        match self.reader.token()? {
            Token::Array(len) => Ok(len),
            _ => Err(no_event("an array is something else")),
        }
    }

    fn buffer(&self, index: usize) -> Result<&'a [u8]> {
        (self.buffer)(index).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidFrame,
                "a corrupted frame: it refers to a buffer that it does not have",
            )
        })
    }

    fn object(&mut self) -> Result<&'a [u8]> {
        match self.reader.token()? {
            Token::Bytes(bytes) => Ok(bytes),
            Token::Extension(number, content)
                if Extension::from_number(number) == Some(Extension::Buffer) =>
            {
                match BufferLeaf::parse(content)? {
                    (BufferLeaf::Bytes, index) => self.buffer(index),
                    _ => Err(no_event("its object is no bytes")),
                }
            }
            _ => Err(no_event("its object is no bytes")),
        }
    }

    fn row(&mut self) -> Result<Row<'a, &'a [u8]>> {
        let Token::Map(count) = self.reader.token()? else {
            return Err(no_event("an event of it is no map"));
        };
        let (mut kind, mut object, mut key, mut key_type) = ("", None, None, None);
        let (mut metadata, mut evict, mut store) = (None, None, None);
        for _ in 0..count {
            match self.name()? {
                "type" => kind = self.text()?,
                "object" => object = Some(self.object()?),
                "key" => key = Some(self.reader.value()?),
                "key_type" => key_type = Some(self.text()?),
                "evict" => evict = Some(self.boolean()?),
                "metadata" => metadata = Some(self.reader.value()?),
                "store" => {
                    let place = usize::try_from(self.integer()?);
                    store = Some(place.map_err(|_| no_event("a number is too large"))?);
                }
                // Of a newer release.
                _ => drop(self.reader.value()?),
            }
        }
        let metadata = metadata.ok_or_else(|| no_event("it has no metadata"));
        match kind {
            END => Ok(Row::End),
            OBJECT => Ok(Row::Object {
                frame: object.ok_or_else(|| no_event("it has no object"))?,
                metadata: metadata?,
                store,
            }),
            KEY => Ok(Row::Key {
                key: key.ok_or_else(|| no_event("it has no key"))?,
                key_type,
                evict: evict.ok_or_else(|| no_event("it does not say whether to evict"))?,
                metadata: metadata?,
                store: store.ok_or_else(|| no_event("its key is of no store"))?,
            }),
            other => Err(newer(&format!("the type {other:?}"))),
        }
    }
}

fn text(utf8: &[u8]) -> Result<&str> {
    std::str::from_utf8(utf8).map_err(|_| no_event("a text is no UTF-8"))
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

/// The error for bytes that are no message.
#[must_use]
pub fn no_event(why: &str) -> Error {
    Error::new(
        ErrorKind::WrongType,
        format!("this message is no event of a stream: {why}"),
    )
}
