//! Whether to compress, and how: by a trial, and by how fast the connector moves bytes.

use super::compress::{Compression, Method, Scratch};
use super::parallel;
use crate::Payload;
use crate::seal::BLOCK_LEN;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shorter objects stay as they are: what they save is less than what it costs to say so.
const SHORTEST: usize = 4 << 10;
/// Bytes from the beginning, and as many from the middle, that a trial compresses.
const SAMPLE: usize = 64 << 10;
/// A trial that leaves more of the sample than this ends there.
const WORTH: f64 = 0.9;
/// Faster links are memory: no compression keeps up with them, so nothing is tried.
const MEMORY: f64 = 4e9;
/// How much shorter the whole way must become.
const GAIN: f64 = 0.9;
/// Shorter transfers say more about the distance than about the speed.
const TIMED_FROM: usize = 64 << 10;
/// The share of the last transfer in the estimate.
const SHARE: f64 = 0.25;

/// What a trial measured of one way of compression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Length after compression, as a part of the length before.
    pub ratio: f64,
    /// Bytes that all threads together compress in a second.
    pub compress: f64,
    /// Bytes that all threads together decompress in a second.
    pub decompress: f64,
}

/// Which of several ways of compression to use with a link of so many bytes a second: the one with
/// the shortest put, of those that make both put and get shorter by a tenth at least; `None` if
/// there is none.
///
/// Work and transfer are taken to follow one another, as they do.
///
/// ```
/// use proxystore::seal::{Measured, choose};
///
/// let fast = Measured { ratio: 0.5, compress: 1e9, decompress: 4e9 };
/// let thorough = Measured { ratio: 0.3, compress: 4e8, decompress: 1e9 };
/// assert_eq!(choose(1e7, &[fast, thorough]), Some(1)); // a slow line
/// assert_eq!(choose(4e8, &[fast, thorough]), Some(0)); // a fast one
/// assert_eq!(choose(5e9, &[fast, thorough]), None); // memory
/// ```
#[must_use]
pub fn choose(link: f64, ways: &[Measured]) -> Option<usize> {
    let plain = 1.0 / link;
    let put = |way: &Measured| way.ratio / link + 1.0 / way.compress;
    let get = |way: &Measured| way.ratio / link + 1.0 / way.decompress;
    ways.iter()
        .enumerate()
        .filter(|(_, way)| put(way) < GAIN * plain && get(way) < GAIN * plain)
        .min_by(|(_, one), (_, other)| put(one).total_cmp(&put(other)))
        .map(|(index, _)| index)
}

/// How an object is to be compressed.
pub(super) fn try_out(
    compression: Compression,
    payload: &Payload<'_>,
    link: Option<f64>,
) -> Method {
    if payload.len() < SHORTEST {
        return Method::None;
    }
    let methods: &[Method] = match (compression, link) {
        // Not known yet: the first transfer tells.
        (Compression::Auto, None) => return Method::None,
        (Compression::Auto, Some(link)) if link >= MEMORY => return Method::None,
        (Compression::Auto, Some(_)) => &[Method::Lz4, Method::Zstd],
        (Compression::Lz4, _) => &[Method::Lz4],
        (Compression::Zstd, _) => &[Method::Zstd],
    };
    let sample = sample(payload);
    let threads = parallel::threads(payload.len().div_ceil(BLOCK_LEN)) as f64;
    let mut scratch = Scratch::default();
    let tried: Vec<_> = methods
        .iter()
        .filter_map(|method| Some((*method, try_one(&mut scratch, *method, &sample, threads)?)))
        .collect();
    match (compression, link) {
        (Compression::Auto, Some(link)) => {
            let ways: Vec<_> = tried.iter().map(|(_, measured)| *measured).collect();
            choose(link, &ways).map_or(Method::None, |index| tried[index].0)
        }
        _ => tried.first().map_or(Method::None, |(method, _)| *method),
    }
}

fn try_one(scratch: &mut Scratch, method: Method, sample: &[u8], threads: f64) -> Option<Measured> {
    let began = Instant::now();
    let compressed = scratch.compress(method, sample)?.to_vec();
    let took = began.elapsed();
    let ratio = compressed.len() as f64 / sample.len() as f64;
    if ratio > WORTH {
        return None;
    }
    let mut target = vec![0; sample.len()];
    let began = Instant::now();
    if !scratch.decompress(method, &compressed, &mut target) {
        return None;
    }
    let speed = |time: Duration| threads * sample.len() as f64 / time.as_secs_f64().max(1e-9);
    Some(Measured {
        ratio,
        compress: speed(took),
        decompress: speed(began.elapsed()),
    })
}

/// Bytes from the beginning and from the middle.
fn sample(payload: &Payload<'_>) -> Vec<u8> {
    let mut sample = Vec::with_capacity(2 * SAMPLE);
    let half = payload.len() / 2;
    let parts = if half <= SAMPLE {
        [0..payload.len().min(2 * SAMPLE), 0..0]
    } else {
        [0..SAMPLE, half..(half + SAMPLE).min(payload.len())]
    };
    for part in parts {
        let mut start = 0;
        for piece in payload.pieces() {
            let end = start + piece.len();
            let (from, to) = (part.start.max(start), part.end.min(end));
            if from < to {
                sample.extend_from_slice(&piece[from - start..to - start]);
            }
            start = end;
        }
    }
    sample
}

/// How many bytes a second a connector moves, as far as this process has seen.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// A float's bits; 0 if nothing was seen. Two threads at once may lose one's transfer.
    speed: AtomicU64,
}

impl Link {
    pub(super) fn speed(&self) -> Option<f64> {
        let speed = f64::from_bits(self.speed.load(Ordering::Relaxed));
        (speed > 0.0).then_some(speed)
    }

    /// Takes note of a transfer.
    pub(super) fn moved(&self, len: usize, time: Duration) {
        if len < TIMED_FROM {
            return;
        }
        let now = len as f64 / time.as_secs_f64().max(1e-9);
        let speed = match self.speed() {
            None => now,
            // By time, not by speed: what takes long weighs more.
            Some(before) => 1.0 / ((1.0 - SHARE) / before + SHARE / now),
        };
        self.speed.store(speed.to_bits(), Ordering::Relaxed);
    }
}
