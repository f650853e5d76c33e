//! Plain trees of values as MessagePack: what nearly every dict and list is made of.
//!
//! Only trees whose copy cannot be told from pickle's are taken: exact built-in types and arrays,
//! no container met twice, none within itself.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
