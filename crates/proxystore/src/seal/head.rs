//! The head of an envelope, and its table of blocks: `docs/frame.md` has every byte.

use super::compress::Method;
use super::key_ring::{ID_LEN, SALT_LEN};
use super::protect::Protection;
use crate::frame::{ALIGN, ENVELOPE_MAGIC};
use crate::{Error, ErrorKind, Result};
use xxhash_rust::xxh3::Xxh3;

/// The version this software writes.
pub const VERSION: u8 = 1;
/// Bytes before the table.
pub const HEAD_LEN: usize = 64;
/// Bytes of content in each block but the last, as this software writes it: enough for several
/// threads to share an object, few enough to stay in a processor's cache.
pub const BLOCK_LEN: usize = 1 << 20;
/// What readers take.
const BLOCK_LENS: std::ops::RangeInclusive<usize> = 64 << 10..=4 << 20;
/// Bytes of one block in the table.
pub(super) const ENTRY_LEN: usize = 4 + TAG_LEN;
/// Bytes of a block's tag.
pub(super) const TAG_LEN: usize = 16;
/// Flag: the tags cover the key of the object.
pub(super) const FLAG_BOUND: u8 = 1;
const SALT_AT: usize = HEAD_LEN - SALT_LEN;

/// What stands before the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) protection: Protection,
    pub(super) is_bound: bool,
    pub(super) total: usize,
    pub(super) content: usize,
    pub(super) block: usize,
    pub(super) key_id: [u8; ID_LEN],
    pub(super) salt: [u8; SALT_LEN],
}

/// One block: how long it is where it is stored, and what proves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stored: u32,
    pub(super) tag: [u8; TAG_LEN],
}

impl Head {
    pub(super) fn blocks(&self) -> usize {
        self.content.div_ceil(self.block).max(1)
    }

    /// Where the first block begins.
    pub(super) fn data_start(&self) -> usize {
        (HEAD_LEN + ENTRY_LEN * self.blocks()).next_multiple_of(ALIGN)
    }

    /// Bytes of content in a block.
    pub(super) fn block_content(&self, index: usize) -> usize {
        (self.content - index * self.block).min(self.block)
    }

    /// The bytes; the salt of what has no key is left out, for a checksum to stand there.
    pub(super) fn to_bytes(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..4].copy_from_slice(&ENVELOPE_MAGIC);
        bytes[4..8].copy_from_slice(&[
            VERSION,
            self.method as u8,
            self.protection as u8,
            u8::from(self.is_bound) * FLAG_BOUND,
        ]);
        bytes[8..16].copy_from_slice(&(self.total as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&(self.content as u64).to_le_bytes());
        bytes[24..28].copy_from_slice(&(self.block as u32).to_le_bytes());
        bytes[28..32].copy_from_slice(&(self.blocks() as u32).to_le_bytes());
        bytes[32..40].copy_from_slice(&self.key_id);
        if self.protection != Protection::Checked {
            bytes[SALT_AT..].copy_from_slice(&self.salt);
        }
        bytes
    }

    /// Head and table, up to the first block.
    pub(super) fn with_table(&self, entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.data_start());
        bytes.extend_from_slice(&self.to_bytes());
        for entry in entries {
            bytes.extend_from_slice(&entry.stored.to_le_bytes());
            bytes.extend_from_slice(&entry.tag);
        }
        if self.protection == Protection::Checked {
            let sum = checksum(&bytes).to_le_bytes();
            bytes[SALT_AT..SALT_AT + 8].copy_from_slice(&sum);
        }
        bytes.resize(self.data_start(), 0);
        bytes
    }

    /// Reads head and table, of which a copy is made first: `bytes` may lie where others write.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, Vec<Entry>)> {
        let mut head = [0; HEAD_LEN];
        match bytes.get(..HEAD_LEN) {
            Some(bytes) => head.copy_from_slice(bytes),
            None => return Err(invalid("it is cut off")),
        }
        if head[4] != VERSION {
            return Err(newer("version", head[4]));
        }
        if word(&head, 8) != bytes.len() as u64 {
            return Err(invalid("it is cut off, or too long"));
        }
        let method = Method::of_byte(head[5]).ok_or_else(|| newer("compression", head[5]))?;
        let protection =
            Protection::of_byte(head[6]).ok_or_else(|| newer("protection", head[6]))?;
        if head[7] & !FLAG_BOUND != 0 {
            return Err(newer("flags", head[7]));
        }
        let (block, count) = (half_word(&head, 24), half_word(&head, 28));
        let content = usize::try_from(word(&head, 16)).map_err(|_| uneven())?;
        if !BLOCK_LENS.contains(&block) || !block.is_power_of_two() {
            return Err(invalid("its blocks have no length that there can be"));
        }
        let mut parsed = Self {
            method,
            protection,
            is_bound: head[7] & FLAG_BOUND != 0,
            total: bytes.len(),
            content,
            block,
            key_id: [0; ID_LEN],
            salt: [0; SALT_LEN],
        };
        parsed.key_id.copy_from_slice(&head[32..40]);
        parsed.salt.copy_from_slice(&head[SALT_AT..]);
        // `count` is 32 bits, so that nothing here overflows; the table is within the bytes.
        let table_end = HEAD_LEN + ENTRY_LEN * count;
        if parsed.blocks() != count || table_end > bytes.len() {
            return Err(uneven());
        }
        let padding = bytes
            .get(table_end..parsed.data_start())
            .ok_or_else(uneven)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(invalid("something stands between its table and its blocks"));
        }
        let table = bytes[HEAD_LEN..table_end].to_vec();
        if protection == Protection::Checked {
            let sum = word(&head, SALT_AT);
            head[SALT_AT..SALT_AT + 8].fill(0);
            if parsed.is_bound || checksum(&[&head, &table[..]].concat()) != sum {
                return Err(invalid("the checksum of its head is wrong"));
            }
        }
        let entries: Vec<_> = table.chunks_exact(ENTRY_LEN).map(Entry::of).collect();
        parsed.check_lengths(&entries)?;
        Ok((parsed, entries))
    }

    fn check_lengths(&self, entries: &[Entry]) -> Result<()> {
        let mut end = self.data_start();
        for (index, entry) in entries.iter().enumerate() {
            let (stored, content) = (entry.stored as usize, self.block_content(index));
            // What does not become shorter is stored as it is.
            if stored > content || (stored < content && self.method == Method::None) {
                return Err(uneven());
            }
            end = end.checked_add(stored).ok_or_else(uneven)?;
        }
        if end == self.total {
            Ok(())
        } else {
            Err(uneven())
        }
    }
}

impl Entry {
    fn of(bytes: &[u8]) -> Self {
        let mut entry = Self {
            stored: half_word(bytes, 0) as u32,
            tag: [0; TAG_LEN],
        };
        entry.tag.copy_from_slice(&bytes[4..ENTRY_LEN]);
        entry
    }
}

fn checksum(head_and_table: &[u8]) -> u64 {
    let mut state = Xxh3::new();
    state.update(head_and_table);
    state.digest()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

fn half_word(bytes: &[u8], at: usize) -> usize {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw) as usize
}

fn uneven() -> Error {
    invalid("its lengths do not add up")
}

pub(super) fn invalid(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidFrame,
        format!("a corrupted envelope: {why}"),
    )
}

fn newer(what: &str, value: u8) -> Error {
    Error::new(
        ErrorKind::NewerFrame,
        format!(
            "an envelope with {what} {value}, which this proxystore does not know: upgrade the \
             reading side"
        ),
    )
}
