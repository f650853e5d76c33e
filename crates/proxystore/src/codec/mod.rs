//! What frames hold, for the codecs that belong to no language: what Python puts, Rust gets, and
//! the reverse.

pub mod message_pack;
pub mod ndarray;
