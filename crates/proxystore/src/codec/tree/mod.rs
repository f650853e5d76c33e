//! Any serde type as a plain tree of values: MessagePack, the same that Python's lists,
//! dictionaries and numbers become.
//!
//! | serde | in the tree | Python |
//! |---|---|---|
//! | `bool`, integers, floats, `Option`, `()` | themselves | `bool`, `int`, `float`, `None` |
//! | `str`, `char`, a variant without content | text | `str` |
//! | bytes (`serde_bytes`) | bytes | `bytes` |
//! | sequences | array | `list` |
//! | tuples, tuple structs, `[T; N]` | tuple | `tuple` |
//! | maps, structs | map | `dict` |
//! | variants with content | map of one pair | `dict` |
//!
//! Read back, tuples, sets and small arrays of numbers are sequences as well, so that a `Vec<f64>`
//! in a struct reads a list of numbers and a `numpy.ndarray` alike.

mod deserialize;
mod elements;
mod serialize;
mod value;

pub use value::Value;

use super::typed::{Decode, Encode, Encoded, Object};
use crate::frame::Codec;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value of any serde type, as a plain tree of values.
///
/// ```
/// use proxystore::Store;
/// use proxystore::codec::tree::MessagePack;
/// use std::collections::BTreeMap;
///
/// let store = Store::in_memory("trees");
/// let key = store.put(&MessagePack(BTreeMap::from([("a", 1), ("b", 2)])))?;
/// let MessagePack(map) = store.get::<MessagePack<BTreeMap<String, i64>>>(&key)?.expect("just put");
/// assert_eq!(map["b"], 2);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "nothing but a name for a type")]
pub struct MessagePack<T>(pub T);

impl<T: Serialize> Encode for MessagePack<T> {
    fn encode(&self) -> Result<Encoded<'_>> {
        encode(&self.0)
    }
}

impl<T: DeserializeOwned> Decode for MessagePack<T> {
    fn decode(object: &Object) -> Result<Self> {
        decode(object).map(Self)
    }
}

/// A value as a frame's tree.
///
/// # Errors
/// [`ErrorKind::Encode`] if serde says so, or for what is nested deeper than
/// [`MAX_DEPTH`](super::message_pack::MAX_DEPTH).
pub fn encode<'a, T: Serialize + ?Sized>(value: &T) -> Result<Encoded<'a>> {
    Ok(Encoded::new(Codec::MessagePack).stream(pack(value)?))
}

/// A value as MessagePack alone.
pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serialize::to_bytes(value).map_err(|error| {
        Error::new(
            ErrorKind::Encode,
            format!(
                "this {} has no MessagePack form",
                std::any::type_name::<T>()
            ),
        )
        .with_source(error)
    })
}

/// A value of an object's tree. Text, bytes and arrays that are objects of their own are read too.
///
/// # Errors
/// [`ErrorKind::WrongType`] if the object is no tree, or one of another form than `T`'s.
pub fn decode<T: DeserializeOwned>(object: &Object) -> Result<T> {
    match object.codec() {
        Codec::MessagePack | Codec::Str | Codec::Bytes | Codec::Ndarray => {
            deserialize::from_object(object).map_err(wrong::<T>)
        }
        _ => Err(object.mismatch(std::any::type_name::<T>(), "MessagePack")),
    }
}

/// One value of an object's tree, which lies in these bytes of it.
#[cfg(feature = "stream")]
pub(crate) fn unpack<T: DeserializeOwned>(object: &Object, part: &[u8]) -> Result<T> {
    deserialize::from_part(object, part).map_err(wrong::<T>)
}

fn wrong<T>(error: deserialize::Failure) -> Error {
    let name = std::any::type_name::<T>();
    match error {
        deserialize::Failure::Frame(error) => error,
        deserialize::Failure::Type(message) => Error::new(
            ErrorKind::WrongType,
            format!("the object is no `{name}`: {message}"),
        ),
    }
}

/// Lets values of your own serde types be put and got as they are, as plain trees of values.
///
/// ```
/// use proxystore::Store;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Reading {
///     sensor: String,
///     values: Vec<f64>,
/// }
/// proxystore::as_message_pack!(Reading);
///
/// let store = Store::in_memory("readings");
/// let key = store.put(&Reading { sensor: "north".into(), values: vec![1.5, 2.5] })?;
/// assert_eq!(store.get::<Reading>(&key)?.expect("just put").values, [1.5, 2.5]);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[macro_export]
macro_rules! as_message_pack {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::codec::Encode for $type {
            fn encode(&self) -> $crate::Result<$crate::codec::Encoded<'_>> {
                $crate::codec::tree::encode(self)
            }
        }
        impl $crate::codec::Decode for $type {
            fn decode(object: &$crate::codec::Object) -> $crate::Result<Self> {
                $crate::codec::tree::decode(object)
            }
        }
    )+};
}

as_message_pack!(
    (),
    bool,
    i8,
    i16,
    i32,
    i64,
    i128,
    u8,
    u16,
    u32,
    u64,
    u128,
    f32,
    f64,
    char,
    Value
);

#[cfg(test)]
mod tests;
