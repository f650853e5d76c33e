//! What frames hold, for the codecs that belong to no language: what Python puts, Rust gets, and
//! the reverse.
//!
//! | Rust | codec | Python |
//! |---|---|---|
//! | `[u8]`, `Vec<u8>`, [`Blob`](crate::Blob), a view of `[u8]` | `Bytes` | `bytes`, `bytearray` |
//! | `str`, `String`, a view of `str` | `Str` | `str` |
//! | [`AnyArray`], `ndarray::Array` (feature `ndarray`), a view of `[f64]` and so on | `Ndarray` | `numpy.ndarray` |
//! | numbers, [`Value`](tree::Value), [`MessagePack`](tree::MessagePack) of any serde type (feature `msgpack`) | `MessagePack` | numbers, and lists, dictionaries, tuples and sets of all these |
//! | `RecordBatch`, `arrow::Table` (feature `arrow`); [`Object`], whose buffer 0 is an IPC stream | `Arrow` | `pyarrow.RecordBatch`, `pyarrow.Table`, `polars.DataFrame` |
//!
//! Pickled Python objects do not cross: getting one is an error of kind
//! [`WrongType`](crate::ErrorKind::WrongType) that names the codec.

mod array;
#[cfg(feature = "arrow")]
pub mod arrow;
pub mod element;
pub mod message_pack;
pub mod ndarray;
mod plain;
#[cfg(feature = "msgpack")]
pub mod tree;
mod typed;
mod view;

pub use array::AnyArray;
pub use typed::{Decode, Encode, Encoded, Object};
pub use view::{View, Viewed};
