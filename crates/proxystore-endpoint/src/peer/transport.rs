//! What a way to a peer must offer. Everything above it is the same for QUIC and TLS.

use super::channel::{Boxed, Channel, Failure};
use super::wire::Introduction;
use crate::remote::Path;
use std::fmt;
use std::time::Duration;

/// A way to a peer whose key is proven and whose greeting was answered.
pub(super) trait Link: fmt::Debug + Send + Sync + 'static {
    /// A channel for an exchange.
    fn open(&self) -> Boxed<'_, Result<Channel, Failure>>;

    /// What the peer said of itself.
    fn introduction(&self) -> &Introduction;

    /// Which way the bytes take now.
    fn path(&self) -> Path;

    /// Time there and back, where it is known.
    fn round_trip(&self) -> Option<Duration>;

    /// How to cut an object of this length for it: channels side by side, and bytes of a range.
    fn stripes(&self, total: u64) -> (usize, u64);

    /// Why it is no longer of use, once it is not.
    fn ended(&self) -> Option<String>;

    /// Ends it; the peer is told why.
    fn close(&self, words: &str);
}
