//! Putting an object into an envelope, and taking it out.

use super::Seal;
use super::compress::{Method, Scratch};
use super::head::{BLOCK_LEN, Entry, Head, TAG_LEN, invalid};
use super::key_ring::{ID_LEN, MasterKey, SALT_LEN, random};
use super::parallel;
use super::protect::{Protection, Protector};
use crate::blob::Buffer;
use crate::{Blob, Error, ErrorKind, Key, Payload, Result};
use smallvec::SmallVec;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// Bytes of an object that are to be one block.
type Pieces<'a> = SmallVec<[&'a [u8]; 2]>;

/// An object in its envelope: pieces by reference where nothing was done to them.
pub struct Envelope<'a> {
    pub(super) method: Method,
    head: Vec<u8>,
    body: Vec<Stored<'a>>,
    lease: Option<Duration>,
}

enum Stored<'a> {
    Borrowed(Pieces<'a>),
    Owned(Vec<u8>),
    /// Several blocks that lie together.
    Many(Buffer),
}

impl Envelope<'_> {
    /// What a connector is to store.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        let mut payload = Payload::from_bytes(&self.head);
        for stored in &self.body {
            match stored {
                Stored::Borrowed(pieces) => pieces.iter().for_each(|piece| payload.push(piece)),
                Stored::Owned(bytes) => payload.push(bytes),
                Stored::Many(bytes) => payload.push(bytes),
            }
        }
        // Like a frame's, the head tells the length.
        let payload = payload.framed();
        match self.lease {
            Some(lease) => payload.with_lease(lease),
            None => payload,
        }
    }
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.payload().len())
    }
}

pub(super) fn seal<'a>(
    payload: &'a Payload<'_>,
    method: Method,
    protection: Protection,
    master: Option<&MasterKey>,
    key: Option<&Key>,
) -> Result<Envelope<'a>> {
    let mut head = Head {
        method,
        protection,
        is_bound: key.is_some() && protection != Protection::Checked,
        total: 0,
        content: payload.len(),
        block: BLOCK_LEN,
        key_id: [0; ID_LEN],
        salt: [0; SALT_LEN],
    };
    if let Some(master) = master {
        head.key_id = master.id;
        head.salt = random()?;
    }
    let (body, entries) = if method == Method::None {
        // Its length is known beforehand, so that one pass does.
        head.total = head.data_start() + payload.len();
        let protector = Protector::new(&head, master, key)?;
        if protector.encrypts() {
            let (hidden, entries) = encrypt_all(&protector, &blocks(payload), payload.len())?;
            (vec![Stored::Many(hidden)], entries)
        } else {
            let tagged = parallel::for_each(blocks(payload), |_: &mut (), index, pieces| {
                let stored = pieces.iter().map(|piece| piece.len()).sum::<usize>() as u32;
                let tag = protector.tag(index, &pieces);
                Ok((Stored::Borrowed(pieces), Entry { stored, tag }))
            })?;
            tagged.into_iter().unzip()
        }
    } else {
        let compressed = parallel::for_each(blocks(payload), |scratch, _, pieces| {
            Ok(compress(scratch, method, pieces, protection))
        })?;
        let stored: usize = compressed.iter().map(Stored::len).sum();
        head.total = head.data_start() + stored;
        let protector = Protector::new(&head, master, key)?;
        let protected = parallel::for_each(compressed, |_: &mut (), index, mut stored| {
            let tag = match &mut stored {
                Stored::Owned(bytes) => protector.encrypt(index, bytes)?,
                Stored::Borrowed(pieces) => protector.tag(index, pieces),
                Stored::Many(_) => [0; TAG_LEN],
            };
            let entry = Entry {
                stored: stored.len() as u32,
                tag,
            };
            Ok((stored, entry))
        })?;
        protected.into_iter().unzip()
    };
    Ok(Envelope {
        method,
        head: head.with_table(&entries),
        body,
        lease: payload.lease(),
    })
}

impl Stored<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Borrowed(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Self::Owned(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }
}

/// The pieces of each block; one empty block of an empty object.
fn blocks<'a>(payload: &'a Payload<'_>) -> Vec<Pieces<'a>> {
    let mut blocks = vec![Pieces::new()];
    let mut room = BLOCK_LEN;
    for piece in payload.pieces() {
        let mut rest: &[u8] = piece;
        while !rest.is_empty() {
            if room == 0 {
                blocks.push(Pieces::new());
                room = BLOCK_LEN;
            }
            let (now, later) = rest.split_at(rest.len().min(room));
            if let Some(block) = blocks.last_mut() {
                block.push(now);
            }
            room -= now.len();
            rest = later;
        }
    }
    blocks
}

fn compress<'a>(
    scratch: &mut Scratch,
    method: Method,
    pieces: Pieces<'a>,
    protection: Protection,
) -> Stored<'a> {
    let mut joined = std::mem::take(&mut scratch.joined);
    let block = match pieces.as_slice() {
        [one] => one,
        several => {
            joined.clear();
            several
                .iter()
                .for_each(|piece| joined.extend_from_slice(piece));
            &joined[..]
        }
    };
    let shorter = scratch.compress(method, block).map(<[u8]>::to_vec);
    scratch.joined = joined;
    match shorter {
        Some(bytes) => Stored::Owned(bytes),
        // What will be hidden is not to be hidden in the user's own memory.
        None if protection == Protection::Encrypted => Stored::Owned(pieces.concat()),
        None => Stored::Borrowed(pieces),
    }
}

fn encrypt_all(
    protector: &Protector,
    blocks: &[Pieces<'_>],
    len: usize,
) -> Result<(Buffer, Vec<Entry>)> {
    let mut buffer = Buffer::try_with_len(len).ok_or_else(no_memory)?;
    let entries = if len == 0 {
        let tag = protector.encrypt(0, &mut [])?;
        vec![Entry { stored: 0, tag }]
    } else {
        let targets = buffer.chunks_mut(BLOCK_LEN).collect();
        parallel::for_each(targets, |_: &mut (), index, target: &mut [u8]| {
            let mut rest = &mut *target;
            for piece in &blocks[index] {
                let (now, later) = rest.split_at_mut(piece.len());
                now.copy_from_slice(piece);
                rest = later;
            }
            let tag = protector.encrypt(index, target)?;
            Ok(Entry {
                stored: target.len() as u32,
                tag,
            })
        })?
    };
    Ok((buffer, entries))
}

pub(super) fn open(
    seal: &Seal,
    blob: &Blob,
    key: Option<&Key>,
    demand_bound: bool,
) -> Result<Blob> {
    let (head, entries) = Head::parse(blob)?;
    if head.protection != seal.protection {
        return Err(seal.refusal(match head.protection {
            Protection::Checked => "it is neither signed nor encrypted",
            Protection::Signed => "it is signed: open the store with `signing`",
            Protection::Encrypted => "it is encrypted: open the store with `encryption`",
        }));
    }
    let master = match head.protection {
        Protection::Checked => None,
        _ => Some(seal.keys.by_id(head.key_id).ok_or_else(|| {
            seal.refusal("it was written with a key that this store does not have")
        })?),
    };
    if head.is_bound && key.is_none() || demand_bound && !head.is_bound {
        return Err(seal.refusal("it was not written under this key"));
    }
    let limit = longest();
    if head.content as u64 > limit {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "an envelope that says it holds {} bytes, but this machine takes up to {limit}; \
                 {LIMIT_VARIABLE} changes that",
                head.content
            ),
        ));
    }
    let protector = Protector::new(&head, master, key)?;
    let changed = || match head.protection {
        Protection::Checked => invalid("the checksum of a block is wrong"),
        _ => seal.refusal(
            "it was changed, or written with another key or for another object of the store",
        ),
    };
    let mut ends = head.data_start();
    let stored: Vec<&[u8]> = entries
        .iter()
        .map(|entry| {
            let start = ends;
            ends += entry.stored as usize;
            &blob[start..ends]
        })
        .collect();
    if head.method == Method::None && !protector.encrypts() {
        parallel::for_each(stored, |_: &mut (), index, block: &[u8]| {
            let sound = protector.verify(index, block, &entries[index]);
            sound.then_some(()).ok_or_else(changed)
        })?;
        return Ok(blob.slice(head.data_start()..blob.len()));
    }
    let mut buffer = Buffer::try_with_len(head.content).ok_or_else(no_memory)?;
    let mut targets: Vec<&mut [u8]> = buffer.chunks_mut(head.block).collect();
    if targets.is_empty() {
        targets.push(&mut []);
    }
    let work: Vec<_> = stored.into_iter().zip(targets).collect();
    parallel::for_each(work, |scratch: &mut Scratch, index, (block, target)| {
        open_block(
            &protector,
            head.method,
            scratch,
            index,
            block,
            target,
            &entries[index],
        )
        .then_some(())
        .ok_or_else(changed)
    })?;
    Ok(Blob::new(buffer))
}

fn open_block(
    protector: &Protector,
    method: Method,
    scratch: &mut Scratch,
    index: usize,
    block: &[u8],
    target: &mut [u8],
    entry: &Entry,
) -> bool {
    if block.len() == target.len() {
        target.copy_from_slice(block);
        return protector.decrypt(index, target, entry);
    }
    if !protector.encrypts() {
        return protector.verify(index, block, entry) && scratch.decompress(method, block, target);
    }
    scratch.joined.clear();
    scratch.joined.extend_from_slice(block);
    protector.decrypt(index, &mut scratch.joined, entry)
        && scratch.decompress_joined(method, target)
}

/// Overrides the machine's memory, in bytes.
const LIMIT_VARIABLE: &str = "PROXYSTORE_MAX_OBJECT_BYTES";

/// Most bytes that an envelope may stand for.
fn longest() -> u64 {
    static LONGEST: OnceLock<u64> = OnceLock::new();
    *LONGEST.get_or_init(|| {
        let said = std::env::var(LIMIT_VARIABLE).ok();
        said.and_then(|text| text.trim().parse().ok())
            .unwrap_or_else(machine_memory)
    })
}

fn machine_memory() -> u64 {
    // SAFETY: both only ask the system.
    let (pages, page) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    match (u64::try_from(pages), u64::try_from(page)) {
        (Ok(pages), Ok(page)) if pages > 0 => pages.saturating_mul(page),
        _ => 1 << 40,
    }
}

fn no_memory() -> Error {
    Error::new(
        ErrorKind::Io,
        "there is no memory for an object in its envelope",
    )
}
