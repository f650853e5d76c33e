//! Plain trees of values as MessagePack: what nearly every dict and list is made of.
//!
//! Only trees whose copy cannot be told from pickle's are taken: exact built-in types and arrays,
//! no container met twice, none within itself.

mod addresses;
mod decode;
mod encode;
mod keys;

pub(super) use decode::{decode, decode_leaves, decode_part};
pub(super) use encode::{encode, encode_leaves};
