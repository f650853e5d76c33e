//! What proves a block, and what hides it.

use super::head::{Entry, HEAD_LEN, Head, TAG_LEN};
use super::key_ring::MasterKey;
use crate::{Error, ErrorKind, Key, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};
use ring::hmac;
use xxhash_rust::xxh3::Xxh3;

/// What the tags of an envelope prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Protection {
    /// That the bytes are as they were written, unless somebody changed the tag as well.
    Checked = 0,
    /// That somebody with the key wrote them: HMAC-SHA256, its first half.
    Signed = 1,
    /// The same, and nobody else reads them: AES-256-GCM.
    Encrypted = 2,
}

impl Protection {
    pub(super) fn of_byte(byte: u8) -> Option<Self> {
        [Self::Checked, Self::Signed, Self::Encrypted]
            .into_iter()
            .find(|protection| *protection as u8 == byte)
    }
}

enum Cipher {
    Checked,
    Signed(hmac::Key),
    Encrypted(Box<LessSafeKey>),
}

/// Makes and checks the tags of one envelope.
pub(super) struct Protector {
    cipher: Cipher,
    /// The head, the length of the object's key, and that key where the envelope is bound to it.
    context: Vec<u8>,
    blocks: usize,
}

impl Protector {
    /// `master` is only left out where nothing is protected.
    pub(super) fn new(head: &Head, master: Option<&MasterKey>, key: Option<&Key>) -> Result<Self> {
        let cipher = match (head.protection, master) {
            (Protection::Checked, _) => Cipher::Checked,
            (Protection::Signed, Some(master)) => {
                let bytes: [u8; 32] = master.derive(&head.salt, b"proxystore envelope 1: signing");
                Cipher::Signed(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
            }
            (Protection::Encrypted, Some(master)) => {
                let bytes: [u8; 32] =
                    master.derive(&head.salt, b"proxystore envelope 1: encryption");
                let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| no_cipher())?;
                Cipher::Encrypted(Box::new(LessSafeKey::new(key)))
            }
            (Protection::Signed | Protection::Encrypted, None) => return Err(no_cipher()),
        };
        let name = key.filter(|_| head.is_bound).map_or("", Key::as_str);
        let mut context = Vec::with_capacity(HEAD_LEN + 8 + name.len());
        context.extend_from_slice(&head.to_bytes());
        context.extend_from_slice(&(name.len() as u64).to_le_bytes());
        context.extend_from_slice(name.as_bytes());
        Ok(Self {
            cipher,
            context,
            blocks: head.blocks(),
        })
    }

    /// Whether blocks are to be hidden.
    pub(super) fn encrypts(&self) -> bool {
        matches!(self.cipher, Cipher::Encrypted(_))
    }

    /// The tag of a block that is not hidden; nothing is asked of one that is.
    pub(super) fn tag(&self, index: usize, pieces: &[&[u8]]) -> [u8; TAG_LEN] {
        match &self.cipher {
            Cipher::Checked => {
                let mut state = Xxh3::with_seed(index as u64);
                pieces.iter().for_each(|piece| state.update(piece));
                state.digest128().to_le_bytes()
            }
            Cipher::Signed(key) => {
                let stored = pieces.iter().map(|piece| piece.len()).sum();
                let mut state = hmac::Context::with_key(key);
                state.update(&self.nonce(index));
                state.update(&self.about(stored));
                pieces.iter().for_each(|piece| state.update(piece));
                let mut tag = [0; TAG_LEN];
                tag.copy_from_slice(&state.sign().as_ref()[..TAG_LEN]);
                tag
            }
            Cipher::Encrypted(_) => [0; TAG_LEN],
        }
    }

    /// Hides a block in place and gives its tag.
    pub(super) fn encrypt(&self, index: usize, block: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        let Cipher::Encrypted(key) = &self.cipher else {
            return Ok(self.tag(index, &[block]));
        };
        let nonce = Nonce::assume_unique_for_key(self.nonce(index));
        let about = Aad::from(self.about(block.len()));
        let sealed = key.seal_in_place_separate_tag(nonce, about, block);
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(sealed.map_err(|_| no_cipher())?.as_ref());
        Ok(tag)
    }

    /// Whether a block that is not hidden is what was written.
    pub(super) fn verify(&self, index: usize, block: &[u8], entry: &Entry) -> bool {
        let expected = self.tag(index, &[block]);
        // In one time, whatever they are: nobody shall find out a tag byte by byte.
        let difference = expected
            .iter()
            .zip(&entry.tag)
            .fold(0, |all, (one, other)| all | (one ^ other));
        std::hint::black_box(difference) == 0 && !self.encrypts()
    }

    /// Shows a block in place; false, and its bytes are of no use, if it is not what was written.
    pub(super) fn decrypt(&self, index: usize, block: &mut [u8], entry: &Entry) -> bool {
        let Cipher::Encrypted(key) = &self.cipher else {
            return self.verify(index, block, entry);
        };
        let nonce = Nonce::assume_unique_for_key(self.nonce(index));
        let about = Aad::from(self.about(block.len()));
        let tag = Tag::from(entry.tag);
        key.open_in_place_separate_tag(nonce, about, tag, block, 0..)
            .is_ok()
    }

    /// Which block it is, and whether it is the last one: none can be left out, moved or added.
    /// No two blocks under one key have the same, since each envelope has a key of its own.
    fn nonce(&self, index: usize) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[0] = u8::from(index + 1 == self.blocks);
        nonce[4..].copy_from_slice(&(index as u64).to_be_bytes());
        nonce
    }

    /// What a block's tag covers beside the block.
    fn about(&self, stored: usize) -> Vec<u8> {
        let mut about = Vec::with_capacity(8 + self.context.len());
        about.extend_from_slice(&(stored as u64).to_le_bytes());
        about.extend_from_slice(&self.context);
        about
    }
}

fn no_cipher() -> Error {
    Error::new(ErrorKind::Io, "the cipher of an envelope cannot be used")
}
