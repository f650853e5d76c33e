//! Frames that were changed at random: whatever the bytes, readers answer and never panic.
#![allow(clippy::unwrap_used, reason = "a test")]

use proxystore::codec::message_pack::{BufferLeaf, Reader, Token};
use proxystore::codec::ndarray::Description;
use proxystore::frame::{Codec, Frame, HEADER_LEN};
use xxhash_rust::xxh3::xxh3_64;

/// A small generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .filter(|seed| seed.len() < 4096)
        .collect();
    seeds.sort();
    seeds
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.truncate(at.max(1)),
            4 => bytes.insert(at, random.next() as u8),
            _ => {
                let word = [0, 1, u64::MAX, i64::MAX as u64, u64::MAX - 63][random.below(5)];
                for (byte, new) in bytes[at..].iter_mut().zip(word.to_le_bytes()) {
                    *byte = new;
                }
            }
        }
    }
}

/// Makes length and checksum right again, so that what lies behind them is reached.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let total = bytes.len() as u64;
    bytes.get_mut(8..16)?.copy_from_slice(&total.to_le_bytes());
    bytes.get_mut(28..32)?.fill(0);
    let stream = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
    let count = u32::from_le_bytes(bytes[24..28].try_into().ok()?);
    let end = usize::try_from(stream)
        .ok()?
        .checked_add(HEADER_LEN + 8 * count as usize)?;
    let sum = xxh3_64(bytes.get(..end)?) as u32;
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    Some(())
}

/// Reads all that there is to read; gives how many tokens that were.
fn read(bytes: &[u8]) -> Option<usize> {
    let frame = Frame::parse(bytes).ok()?;
    for index in 0..frame.buffer_ranges().len() {
        let _ = frame.buffer(index);
    }
    match frame.codec() {
        Codec::Ndarray => Description::parse(frame.stream()).ok().map(|_| 1),
        Codec::MessagePack => Some(walk(Reader::new(frame.stream()), 0)),
        #[cfg(feature = "arrow")]
        Codec::Arrow => {
            use proxystore::codec::{Decode, Object, arrow::Table};
            let object = Object::parse(proxystore::Blob::copy_from(bytes)).ok()?;
            // What is sound can be shown.
            Table::decode(&object)
                .ok()
                .map(|table| format!("{table:?}").len())
        }
        _ => Some(0),
    }
}

fn walk(mut reader: Reader<'_>, depth: usize) -> usize {
    let mut count = 0;
    while depth < 50 && !reader.is_at_end() {
        let Ok(token) = reader.token() else { break };
        count += 1;
        if let Token::Extension(_, content) = token {
            let _ = BufferLeaf::parse(content);
            let _ = Description::parse(content);
            count += walk(Reader::enter(content), depth + 1);
        }
    }
    count
}

#[test]
fn no_bytes_make_a_reader_panic() {
    const ROUNDS: usize = 200_000;
    let seeds = seeds();
    let mut random = Random(0x5eed);
    let (mut sound, mut tokens) = (0, 0);
    #[cfg(feature = "stream")]
    let mut messages = 0;
    for round in 0..ROUNDS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        change(&mut random, &mut bytes);
        if round % 4 != 0 {
            seal(&mut bytes);
        }
        #[cfg(feature = "stream")]
        if let Ok(message) =
            proxystore::stream::Message::decode(proxystore::Blob::copy_from(&bytes))
        {
            messages += message.events.len();
        }
        if let Some(count) = read(&bytes) {
            sound += 1;
            tokens += count;
        }
    }
    // The trial is worth something only if many changed frames pass the checksum.
    assert!(sound > ROUNDS / 20, "{sound}");
    assert!(tokens > ROUNDS / 20, "{tokens}");
    #[cfg(feature = "stream")]
    assert!(messages > ROUNDS / 100, "{messages}");
}
