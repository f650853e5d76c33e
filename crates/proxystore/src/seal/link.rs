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
/// How much faster compression is taken to have become with each object that it was not used for.
const FORGETTING: f64 = 1.05;

/// What a trial measured of one way of compression.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// Length after compression, as a part of the length before.
    pub ratio: f64,
    /// Bytes that all threads together compress in a second.
    pub compress: f64,
    /// Bytes that all threads together decompress in a second.
    pub decompress: f64,
}

impl Measured {
    /// A ratio, and bytes a second: compressed, decompressed.
    #[must_use]
    pub fn new(ratio: f64, compress: f64, decompress: f64) -> Self {
        Self {
            ratio,
            compress,
            decompress,
        }
    }
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
/// let fast = Measured::new(0.5, 1e9, 4e9);
/// let thorough = Measured::new(0.3, 4e8, 1e9);
/// assert_eq!(choose(1e7, &[fast, thorough]), Some(1)); // a slow line
/// assert_eq!(choose(2e8, &[fast, thorough]), Some(0)); // a fast one
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
    link: Option<&Link>,
) -> Method {
    if payload.len() < SHORTEST {
        return Method::None;
    }
    match compression {
        Compression::Lz4 => if_it_shrinks(Method::Lz4, payload),
        Compression::Zstd => if_it_shrinks(Method::Zstd, payload),
        Compression::Auto => match link.and_then(|link| Some((link, link.speed()?))) {
            Some((link, speed)) if speed < MEMORY => if_it_pays(payload, link, speed),
            // Not known yet, and then the first transfer tells; or as fast as memory.
            _ => Method::None,
        },
    }
}

fn if_it_shrinks(method: Method, payload: &Payload<'_>) -> Method {
    let measured = try_one(&mut Scratch::default(), method, &sample(payload), 1.0);
    measured.map_or(Method::None, |_| method)
}

fn if_it_pays(payload: &Payload<'_>, link: &Link, speed: f64) -> Method {
    let sample = sample(payload);
    let threads = parallel::threads(payload.len().div_ceil(BLOCK_LEN)) as f64;
    let mut scratch = Scratch::default();
    let mut methods = Vec::with_capacity(2);
    let mut ways = Vec::with_capacity(2);
    for method in [Method::Lz4, Method::Zstd] {
        if let Some(measured) = try_one(&mut scratch, method, &sample, threads) {
            methods.push(method);
            ways.push(link.as_it_was(method, measured));
        }
    }
    match choose(speed, &ways) {
        Some(index) => methods[index],
        None => {
            link.forget_a_little();
            Method::None
        }
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

/// How many bytes a second a connector moves, and how many its program really compresses, as far as
/// this process has seen.
///
/// ```
/// use proxystore::seal::Link;
/// use std::time::Duration;
///
/// let link = Link::default();
/// assert_eq!(link.speed(), None);
/// link.moved(1_000_000, Duration::from_millis(10));
/// assert_eq!(link.speed(), Some(1e8));
/// ```
#[derive(Debug, Default)]
pub struct Link {
    transfer: Speed,
    /// By method: LZ4, Zstandard.
    compress: [Speed; 2],
    decompress: [Speed; 2],
}

impl Link {
    /// Bytes a second, if a transfer was long enough to tell.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        self.transfer.get()
    }

    /// Takes note of a transfer.
    pub fn moved(&self, len: usize, time: Duration) {
        self.transfer.add(len, time);
    }

    /// Takes note of an object that was compressed.
    pub(super) fn compressed(&self, method: Method, len: usize, time: Duration) {
        if let Some(speed) = of(&self.compress, method) {
            speed.add(len, time);
        }
    }

    /// Takes note of an object that was decompressed.
    pub(super) fn decompressed(&self, method: Method, len: usize, time: Duration) {
        if let Some(speed) = of(&self.decompress, method) {
            speed.add(len, time);
        }
    }

    /// What a trial measured, but no faster than whole objects were: a trial is over before
    /// anybody else gets the processor.
    pub(super) fn as_it_was(&self, method: Method, measured: Measured) -> Measured {
        let least = |speeds, trial: f64| {
            let seen = of(speeds, method).and_then(Speed::get);
            seen.map_or(trial, |seen| seen.min(trial))
        };
        Measured {
            ratio: measured.ratio,
            compress: least(&self.compress, measured.compress),
            decompress: least(&self.decompress, measured.decompress),
        }
    }

    /// What was slow once is tried again some time.
    pub(super) fn forget_a_little(&self) {
        for speed in self.compress.iter().chain(&self.decompress) {
            if let Some(seen) = speed.get() {
                speed.set(seen * FORGETTING);
            }
        }
    }
}

fn of(speeds: &[Speed; 2], method: Method) -> Option<&Speed> {
    match method {
        Method::None => None,
        Method::Lz4 => Some(&speeds[0]),
        Method::Zstd => Some(&speeds[1]),
    }
}

/// Bytes in a second, lately: a float's bits, 0 if nothing was seen. Of two threads at once one may
/// be lost.
#[derive(Debug, Default)]
struct Speed(AtomicU64);

impl Speed {
    fn get(&self) -> Option<f64> {
        let speed = f64::from_bits(self.0.load(Ordering::Relaxed));
        (speed > 0.0).then_some(speed)
    }

    fn set(&self, speed: f64) {
        self.0.store(speed.to_bits(), Ordering::Relaxed);
    }

    fn add(&self, len: usize, time: Duration) {
        if len < TIMED_FROM {
            return;
        }
        let now = len as f64 / time.as_secs_f64().max(1e-9);
        self.set(match self.get() {
            None => now,
            // By time, not by speed: what takes long weighs more.
            Some(before) => 1.0 / ((1.0 - SHARE) / before + SHARE / now),
        });
    }
}
