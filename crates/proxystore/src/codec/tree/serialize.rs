//! Serde values to MessagePack.

use crate::codec::message_pack::{Extension, MAX_DEPTH, OpenExtension, Writer};
use serde::ser::{self, Serialize};
use std::fmt;

/// Why a value was not written.
#[derive(Debug)]
pub(super) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl ser::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Done = Result<(), Failure>;

pub(super) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure> {
    let mut tree = Tree {
        writer: Writer::default(),
        depth: 0,
    };
    value.serialize(&mut tree)?;
    Ok(tree.writer.0)
}

struct Tree {
    writer: Writer,
    depth: usize,
}

fn check_len(len: usize) -> Result<usize, Failure> {
    if u32::try_from(len).is_ok() {
        Ok(len)
    } else {
        Err(Failure(format!(
            "{len} bytes or elements in one value; MessagePack takes 2^32 - 1: put it as an object \
             of its own"
        )))
    }
}

impl Tree {
    fn enter(&mut self) -> Done {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure(format!(
                "it is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        Ok(())
    }

    fn sequence(&mut self, len: Option<usize>) -> Result<Container<'_>, Failure> {
        self.enter()?;
        let start = self.writer.0.len();
        if let Some(len) = len {
            self.writer.array_header(check_len(len)?);
        }
        Ok(Container {
            tree: self,
            announced: len,
            start,
            count: 0,
            is_map: false,
            tuple: None,
        })
    }

    fn tuple(&mut self, len: usize) -> Result<Container<'_>, Failure> {
        self.enter()?;
        let tuple = self.writer.open(Extension::Tuple, len <= 16);
        let start = self.writer.0.len();
        self.writer.array_header(check_len(len)?);
        Ok(Container {
            tree: self,
            announced: Some(len),
            start,
            count: 0,
            is_map: false,
            tuple: Some(tuple),
        })
    }

    fn map(&mut self, len: Option<usize>) -> Result<Container<'_>, Failure> {
        let mut map = self.sequence(None)?;
        map.is_map = true;
        map.announced = len;
        if let Some(len) = len {
            map.tree.writer.map_header(check_len(len)?);
        }
        Ok(map)
    }

    /// The one pair that stands for a variant with content.
    fn variant(&mut self, variant: &str) -> Done {
        self.enter()?;
        self.writer.map_header(1);
        self.writer.text(variant.as_bytes());
        Ok(())
    }
}

/// A container whose elements are being written.
struct Container<'a> {
    tree: &'a mut Tree,
    /// What the header says already. Without it, the header is put in at the end.
    announced: Option<usize>,
    start: usize,
    count: usize,
    is_map: bool,
    tuple: Option<OpenExtension>,
}

impl Container<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.count += 1;
        value.serialize(&mut *self.tree)
    }

    fn pair<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.tree.writer.text(key.as_bytes());
        self.element(value)
    }

    fn close(self) -> Done {
        let writer = &mut self.tree.writer;
        match self.announced {
            Some(announced) if announced != self.count => {
                return Err(Failure(format!(
                    "its serialization announced {announced} elements and brought {}",
                    self.count
                )));
            }
            Some(_) => {}
            None => {
                let mut header = Writer::default();
                let count = check_len(self.count)?;
                if self.is_map {
                    header.map_header(count);
                } else {
                    header.array_header(count);
                }
                writer.0.splice(self.start..self.start, header.0);
            }
        }
        if let Some(tuple) = self.tuple {
            check_len(writer.0.len() - self.start)?;
            writer.close(tuple);
        }
        self.tree.depth -= 1;
        Ok(())
    }
}

/// The content of a variant: closed together with the pair around it.
struct Content<'a>(Container<'a>);

impl Content<'_> {
    fn close(mut self) -> Done {
        let container = &mut self.0;
        container.tree.depth -= 1;
        self.0.close()
    }
}

impl<'a> ser::Serializer for &'a mut Tree {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Container<'a>;
    type SerializeTuple = Container<'a>;
    type SerializeTupleStruct = Container<'a>;
    type SerializeTupleVariant = Content<'a>;
    type SerializeMap = Container<'a>;
    type SerializeStruct = Container<'a>;
    type SerializeStructVariant = Content<'a>;

    fn serialize_bool(self, value: bool) -> Done {
        self.writer.boolean(value);
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(i64::from(value))
    }
    fn serialize_i64(self, value: i64) -> Done {
        self.writer.signed(value);
        Ok(())
    }
    fn serialize_i128(self, value: i128) -> Done {
        if let Ok(value) = i64::try_from(value) {
            self.writer.signed(value);
        } else if let Ok(value) = u64::try_from(value) {
            self.writer.unsigned(value);
        } else {
            self.writer
                .extension(Extension::Integer, &value.to_le_bytes());
        }
        Ok(())
    }
    fn serialize_u8(self, value: u8) -> Done {
        self.serialize_u64(u64::from(value))
    }
    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_u64(u64::from(value))
    }
    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_u64(u64::from(value))
    }
    fn serialize_u64(self, value: u64) -> Done {
        self.writer.unsigned(value);
        Ok(())
    }
    fn serialize_u128(self, value: u128) -> Done {
        if let Ok(value) = u64::try_from(value) {
            self.writer.unsigned(value);
        } else {
            // Two's complement: a zero above keeps it positive.
            let mut bytes = [0; 17];
            bytes[..16].copy_from_slice(&value.to_le_bytes());
            self.writer.extension(Extension::Integer, &bytes);
        }
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(f64::from(value))
    }
    fn serialize_f64(self, value: f64) -> Done {
        self.writer.float(value);
        Ok(())
    }
    fn serialize_char(self, value: char) -> Done {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Done {
        check_len(value.len())?;
        self.writer.text(value.as_bytes());
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Done {
        check_len(value.len())?;
        self.writer.bytes(value);
        Ok(())
    }
    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Done {
        self.writer.nil();
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Container<'a>, Failure> {
        self.sequence(len)
    }
    fn serialize_tuple(self, len: usize) -> Result<Container<'a>, Failure> {
        Tree::tuple(self, len)
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Container<'a>, Failure> {
        Tree::tuple(self, len)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Content<'a>, Failure> {
        self.variant(variant)?;
        Tree::tuple(self, len).map(Content)
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Container<'a>, Failure> {
        Tree::map(self, len)
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Container<'a>, Failure> {
        Tree::map(self, Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Content<'a>, Failure> {
        self.variant(variant)?;
        Tree::map(self, Some(len)).map(Content)
    }
}

impl ser::SerializeSeq for Container<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeTuple for Container<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Container<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Content<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.0.element(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeMap for Container<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut *self.tree)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeStruct for Container<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.pair(key, value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

impl ser::SerializeStructVariant for Content<'_> {
    type Ok = ();
    type Error = Failure;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.0.pair(key, value)
    }
    fn end(self) -> Done {
        self.close()
    }
}
