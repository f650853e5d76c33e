//! Which slot of a cluster a key belongs to, and tags that put other keys into the same one.

use std::sync::atomic::{AtomicU32, Ordering};

/// Slots of a cluster.
pub(in super::super) const SLOTS: u16 = 16_384;

/// CRC-16 of XMODEM, byte by byte.
const CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| step(crc, *byte))
}

fn step(crc: u16, byte: u8) -> u16 {
    (crc << 8) ^ CRC[usize::from((crc >> 8) as u8 ^ byte)]
}

/// The same of a number's digits.
fn crc16_of_digits(number: u32) -> u16 {
    let before = match number {
        0..10 => 0,
        more => crc16_of_digits(more / 10),
    };
    step(before, b'0' + (number % 10) as u8)
}

/// The slot of a key. Of a key with `{text}` in it, the text alone counts.
pub(in super::super) fn slot_of(name: &[u8]) -> u16 {
    let find = |bytes: &[u8], wanted| bytes.iter().position(|byte| *byte == wanted);
    let tag = find(name, b'{').and_then(|open| {
        let rest = &name[open + 1..];
        find(rest, b'}').map(|len| &rest[..len])
    });
    let counts = tag.filter(|tag| !tag.is_empty()).unwrap_or(name);
    crc16(counts) % SLOTS
}

/// The least number that stands for a slot: keys with `{number}` in them belong to it.
///
/// It is part of the names of chunks, so that it must never change.
pub(in super::super) fn tag_of(slot: u16) -> u32 {
    /// What was looked for before, plus one. No lock: a fork finds a number or none.
    static FOUND: [AtomicU32; SLOTS as usize] = [const { AtomicU32::new(0) }; SLOTS as usize];
    let found = &FOUND[usize::from(slot)];
    if let Some(tag) = found.load(Ordering::Relaxed).checked_sub(1) {
        return tag;
    }
    // Some 0.1 ms, once for each slot; every slot has one below a million.
    let is_of_it = |tag: &u32| crc16_of_digits(*tag) % SLOTS == slot;
    let tag = (0..u32::MAX - 1).find(is_of_it).unwrap_or_default();
    found.store(tag + 1, Ordering::Relaxed);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT` says.
        for (name, slot) in [
            (&b"foo"[..], 12182),
            (b"somekey", 11058),
            (b"foo{hash_tag}", 2515),
            (b"bar{hash_tag}", 2515),
            (b"", 0),
        ] {
            assert_eq!(slot_of(name), slot, "{name:?}");
        }
    }

    #[test]
    fn only_the_first_sound_tag_counts() {
        assert_eq!(slot_of(b"a{b}c{d}"), slot_of(b"b"));
        assert_eq!(slot_of(b"a{{b}}c"), slot_of(b"{b"));
        assert_ne!(slot_of(b"a{}{b}"), slot_of(b"b"));
        assert_ne!(slot_of(b"a}b{c"), slot_of(b"c"));
    }

    #[test]
    fn every_slot_has_a_tag() {
        for slot in (0..SLOTS).step_by(37).chain([SLOTS - 1]) {
            let name = format!("proxystore:/{{{}}}id/7", tag_of(slot));
            assert_eq!(slot_of(name.as_bytes()), slot);
            assert_eq!(tag_of(slot), tag_of(slot));
        }
        // Names of chunks that were stored depend on them.
        assert_eq!((tag_of(0), tag_of(12182)), (3560, 43681));
    }
}
