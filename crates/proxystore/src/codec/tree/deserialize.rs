//! MessagePack to serde values.

use super::super::ndarray::Description;
use super::super::typed::Object;
use super::elements::Elements;
use crate::Error;
use crate::codec::message_pack::{BufferLeaf, Extension, MAX_DEPTH, Reader, Token, malformed};
use crate::frame::Codec;
use serde::de::value::{BytesDeserializer, SeqDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Why a value was not read.
#[derive(Debug)]
pub(super) enum Failure {
    /// The frame is damaged.
    Frame(Error),
    /// The tree is sound, but not of the type's form.
    Type(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Type(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Frame(error)
    }
}

pub(super) fn from_object<'de, T: Deserialize<'de>>(object: &'de Object) -> Result<T, Failure> {
    let leaf = match object.codec() {
        Codec::Str => Leaf::Text(object.buffer(0)?),
        Codec::Bytes => Leaf::Bytes(object.buffer(0)?),
        Codec::Ndarray => {
            let description = Description::parse(object.stream())?;
            Leaf::Array(Elements::new(&description, object.buffer(0)?)?)
        }
        _ => return from_part(object, object.stream()),
    };
    T::deserialize(leaf)
}

/// From one value of an object's tree.
pub(super) fn from_part<'de, T: Deserialize<'de>>(
    object: &'de Object,
    part: &'de [u8],
) -> Result<T, Failure> {
    let mut reader = Reader::new(part);
    let value = T::deserialize(Tree {
        object,
        reader: &mut reader,
        depth: 0,
    })?;
    if reader.is_at_end() {
        Ok(value)
    } else {
        Err(malformed().into())
    }
}

fn text(utf8: &[u8]) -> Result<&str, Failure> {
    Ok(std::str::from_utf8(utf8).map_err(|_| malformed())?)
}

/// The next value of a reader.
struct Tree<'r, 'de> {
    object: &'de Object,
    reader: &'r mut Reader<'de>,
    depth: usize,
}

impl<'de> Tree<'_, 'de> {
    fn peek(&self) -> Result<Token<'de>, Failure> {
        Ok(self.reader.clone().token()?)
    }

    /// Elements of an array or a map, all of which must be read.
    fn elements<V>(
        self,
        len: usize,
        visit: impl FnOnce(&mut Access<'_, 'de>) -> Result<V, Failure>,
    ) -> Result<V, Failure> {
        if self.depth > MAX_DEPTH {
            return Err(malformed().into());
        }
        let mut access = Access {
            object: self.object,
            reader: self.reader,
            left: len,
            depth: self.depth + 1,
        };
        let value = visit(&mut access)?;
        if access.left > 0 {
            return Err(Failure::Type(format!(
                "it has {len} elements, {} more than expected",
                access.left
            )));
        }
        Ok(value)
    }

    fn extension<V: Visitor<'de>>(
        self,
        number: i8,
        content: &'de [u8],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match Extension::from_number(number).ok_or_else(malformed)? {
            Extension::Tuple | Extension::Set | Extension::FrozenSet => {
                let mut reader = Reader::enter(content);
                let Token::Array(len) = reader.token()? else {
                    return Err(malformed().into());
                };
                let inside = Tree {
                    object: self.object,
                    reader: &mut reader,
                    depth: self.depth,
                };
                inside.elements(len, |access| visitor.visit_seq(access))
            }
            other => leaf(self.object, other, content)?.deserialize_any(visitor),
        }
    }
}

/// The leaf in an extension.
fn leaf<'de>(
    object: &'de Object,
    extension: Extension,
    content: &'de [u8],
) -> Result<Leaf<'de>, Failure> {
    Ok(match extension {
        Extension::Integer => Leaf::Integer(content),
        Extension::Complex => {
            let (real, imaginary) = content.split_first_chunk().ok_or_else(malformed)?;
            let imaginary = imaginary.try_into().map_err(|_| malformed())?;
            Leaf::Complex([f64::from_le_bytes(*real), f64::from_le_bytes(imaginary)])
        }
        Extension::MutableBytes => Leaf::Bytes(content),
        Extension::Buffer => {
            let (leaf, index) = BufferLeaf::parse(content)?;
            let memory = object.buffer(index)?;
            match leaf {
                BufferLeaf::Bytes | BufferLeaf::MutableBytes => Leaf::Bytes(memory),
                BufferLeaf::Str => Leaf::Text(memory),
                BufferLeaf::Ndarray(description) => {
                    Leaf::Array(Elements::new(&Description::parse(description)?, memory)?)
                }
            }
        }
        Extension::Array => {
            let (len, rest) = content.split_first_chunk().ok_or_else(malformed)?;
            let len = u32::from_le_bytes(*len) as usize;
            let (description, elements) = rest.split_at_checked(len).ok_or_else(malformed)?;
            Leaf::Array(Elements::new(&Description::parse(description)?, elements)?)
        }
        _ => return Err(malformed().into()),
    })
}

impl<'de> Deserializer<'de> for Tree<'_, 'de> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.reader.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Int(value) => visitor.visit_i64(value),
            Token::Uint(value) => visitor.visit_u64(value),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Str(utf8) => visitor.visit_borrowed_str(text(utf8)?),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Array(len) => self.elements(len, |access| visitor.visit_seq(access)),
            Token::Map(len) => self.elements(len, |access| visitor.visit_map(access)),
            Token::Extension(number, content) => self.extension(number, content, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.peek()? == Token::Nil {
            self.reader.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    /// Bytes are a sequence of numbers as well, for a `Vec<u8>`.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.peek()? {
            Token::Bytes(bytes) => {
                self.reader.token()?;
                Leaf::Bytes(bytes).deserialize_seq(visitor)
            }
            Token::Extension(number, content) => match Extension::from_number(number) {
                Some(extension @ (Extension::MutableBytes | Extension::Buffer)) => {
                    self.reader.token()?;
                    leaf(self.object, extension, content)?.deserialize_seq(visitor)
                }
                _ => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.peek()? {
            Token::Map(1) => {
                self.reader.token()?;
                self.elements(1, |access| {
                    access.left = 0;
                    visitor.visit_enum(Variant(access))
                })
            }
            Token::Str(utf8) => {
                self.reader.token()?;
                visitor.visit_enum(de::value::BorrowedStrDeserializer::new(text(utf8)?))
            }
            _ => Err(Failure::Type(
                "a variant is text, or a map of one pair".to_owned(),
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct map struct identifier ignored_any
    }
}

/// The elements of a container.
struct Access<'r, 'de> {
    object: &'de Object,
    reader: &'r mut Reader<'de>,
    left: usize,
    depth: usize,
}

impl<'de> Access<'_, 'de> {
    fn next(&mut self) -> Tree<'_, 'de> {
        Tree {
            object: self.object,
            reader: self.reader,
            depth: self.depth,
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Access<'_, 'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.next()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for &mut Access<'_, 'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.next()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        seed.deserialize(self.next())
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The one pair that stands for a variant with content.
struct Variant<'a, 'r, 'de>(&'a mut Access<'r, 'de>);

impl<'de> EnumAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        Ok((seed.deserialize(self.0.next())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Deserialize::deserialize(self.0.next())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self.0.next())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.0.next().deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.0.next().deserialize_any(visitor)
    }
}

/// A value without others in it.
enum Leaf<'de> {
    Text(&'de [u8]),
    Bytes(&'de [u8]),
    /// Two's complement, least byte first.
    Integer(&'de [u8]),
    Complex([f64; 2]),
    Array(Elements<'de>),
}

impl<'de> Deserializer<'de> for Leaf<'de> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self {
            Self::Text(utf8) => visitor.visit_borrowed_str(text(utf8)?),
            Self::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Self::Integer(bytes) => integer(bytes, visitor),
            Self::Complex(parts) => visitor.visit_seq(SeqDeserializer::new(parts.into_iter())),
            Self::Array(elements) => elements.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self {
            Self::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self {
            Self::Text(utf8) => {
                visitor.visit_enum(de::value::BorrowedStrDeserializer::new(text(utf8)?))
            }
            Self::Bytes(bytes) => {
                BytesDeserializer::new(bytes).deserialize_enum(name, variants, visitor)
            }
            other => other.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// An integer of any number of bytes, if Rust has a type for it.
fn integer<'de, V: Visitor<'de>>(bytes: &[u8], visitor: V) -> Result<V::Value, Failure> {
    let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let fill = if is_negative { 0xff } else { 0 };
    let (low, high) = bytes.split_at(bytes.len().min(16));
    if high.iter().any(|byte| *byte != fill) {
        return Err(Failure::Type("an integer beyond 128 bits".to_owned()));
    }
    let mut word = [fill; 16];
    word[..low.len()].copy_from_slice(low);
    let value = i128::from_le_bytes(word);
    match (is_negative, value < 0) {
        (true, true) | (false, false) => visitor.visit_i128(value),
        (false, true) => visitor.visit_u128(value as u128),
        (true, false) => Err(Failure::Type("an integer beyond 128 bits".to_owned())),
    }
}
