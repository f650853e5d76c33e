//! Short texts that occur often in one tree: each is made once.

use super::decode::{Value, new_text};
use pyo3::prelude::*;

/// Keys that dicts of one tree share: most have the same few, and each is made once.
pub(super) struct Keys<'a, 'py>(Vec<Slot<'a, 'py>>);

/// One key, by its length and its first and last bytes; up to 16 bytes that is all of it.
#[derive(Clone, Default)]
struct Slot<'a, 'py> {
    first: u64,
    last: u64,
    utf8: &'a [u8],
    key: Option<Bound<'py, PyAny>>,
}

impl<'a, 'py> Keys<'a, 'py> {
    /// Few enough to stay in the processor's nearest cache.
    const SLOTS: usize = 256;
    const LONGEST: usize = 32;
    /// Shorter streams repeat too little.
    const WORTH_FROM: usize = 1024;

    pub(super) fn for_stream(stream: &[u8]) -> Self {
        Self(if stream.len() < Self::WORTH_FROM {
            Vec::new()
        } else {
            vec![Slot::default(); Self::SLOTS]
        })
    }

    #[inline]
    pub(super) fn get_or_make(&mut self, py: Python<'py>, utf8: &'a [u8]) -> Value<'py> {
        if self.0.is_empty() || utf8.len() > Self::LONGEST {
            return new_text(py, utf8);
        }
        let (first, last) = ends(utf8);
        let mixed =
            (first ^ last.rotate_left(32) ^ utf8.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = &mut self.0[(mixed >> 56) as usize % Self::SLOTS];
        if let Some(key) = &slot.key
            && slot.first == first
            && slot.last == last
            && slot.utf8.len() == utf8.len()
            && (utf8.len() <= 16 || slot.utf8 == utf8)
        {
            return Ok(key.clone());
        }
        let key = new_text(py, utf8)?;
        *slot = Slot {
            first,
            last,
            utf8,
            key: Some(key.clone()),
        };
        Ok(key)
    }
}

/// The first and the last bytes of a text, eight of each where it has so many. Together with its
/// length they tell texts of up to 16 bytes apart.
#[inline]
fn ends(utf8: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (utf8.first_chunk(), utf8.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (utf8.first_chunk(), utf8.last_chunk()) {
        return (
            u32::from_le_bytes(*first).into(),
            u32::from_le_bytes(*last).into(),
        );
    }
    let word = match utf8 {
        [] => 0,
        [one] => u64::from(*one),
        [one, .., last] => {
            // Of three bytes, the middle one; of two, the last again.
            let middle = utf8[utf8.len() / 2];
            u64::from(*one) | u64::from(middle) << 8 | u64::from(*last) << 16
        }
    };
    (word, 0)
}
