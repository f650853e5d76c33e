//! What a way to a peer must offer. Everything above it is the same for QUIC and TLS.

use super::channel::{Boxed, Channel, Failure};
use super::wire::Introduction;
use crate::remote::Path;
use std::fmt;
use std::time::Duration;

/// Bytes a second that ranges on their way leave room for, whatever the distance.
const RATE: f64 = 400e6;

/// How an object is cut into ranges, and how many of them are on their way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stripes {
    /// Channels side by side.
    pub(super) lanes: usize,
    /// Bytes of a range.
    pub(super) range: u64,
    /// Ranges that one channel has asked for.
    pub(super) ahead: usize,
}

/// How often `bytes` fit into what is on its way at [`RATE`] over this distance.
pub(super) fn on_the_way(round_trip: Option<Duration>, bytes: u64) -> usize {
    let seconds = round_trip.unwrap_or_default().as_secs_f64();
    (seconds * RATE / bytes as f64).ceil() as usize
}

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

    /// How to cut an object for it.
    fn stripes(&self) -> Stripes;

    /// Why it is no longer of use, once it is not.
    fn ended(&self) -> Option<String>;

    /// Ends it; the peer is told why.
    fn close(&self, words: &str);
}
