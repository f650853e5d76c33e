//! Bytes to and from a peer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Over how long a rate is measured.
const WINDOW: Duration = Duration::from_secs(4);

/// Counts the bytes of objects to and from a peer.
#[derive(Debug)]
pub(super) struct Traffic {
    bytes: AtomicU64,
    samples: Mutex<[(Instant, u64); 2]>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            samples: Mutex::new([(Instant::now(), 0); 2]),
        }
    }
}

impl Traffic {
    pub(super) fn add(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Called now and then: keeps a sample at most [`WINDOW`] old, and the one before it.
    pub(super) fn sample(&self) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples[1].0.elapsed() >= WINDOW / 2 {
            samples[0] = samples[1];
            samples[1] = (Instant::now(), self.bytes.load(Ordering::Relaxed));
        }
    }

    /// Bytes a second, over the last seconds.
    pub(super) fn rate(&self) -> f64 {
        let (since, before) = self.samples.lock().unwrap_or_else(PoisonError::into_inner)[0];
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_sub(before);
        bytes as f64 / since.elapsed().as_secs_f64().max(0.1)
    }
}
