//! Peers: endpoints at other sites, and how objects move between them.

pub mod wire;
mod wire_error;
#[cfg(test)]
mod wire_tests;

pub use wire_error::Cause;
