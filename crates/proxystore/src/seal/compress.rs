//! Blocks made shorter, and as they were again.

use zstd_safe::{CCtx, DCtx};

/// How objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// By what a trial and the connector's speed say: with LZ4, with Zstandard, or not.
    Auto,
    /// With Zstandard at level 1, where a trial says that it makes the object shorter.
    Zstd,
    /// With LZ4, where a trial says that it makes the object shorter.
    Lz4,
}

impl Compression {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Zstd, Self::Lz4];

    /// Its name: `auto`, `zstd` or `lz4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// How the blocks of an envelope were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Method {
    None = 0,
    Lz4 = 1,
    Zstd = 2,
}

impl Method {
    pub(super) fn of_byte(byte: u8) -> Option<Self> {
        [Self::None, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|method| *method as u8 == byte)
    }
}

/// More takes longer than most links need for what it saves.
const ZSTD_LEVEL: i32 = 1;

/// What a thread uses for one block after the other.
#[derive(Default)]
pub(super) struct Scratch {
    compressing: Option<CCtx<'static>>,
    decompressing: Option<DCtx<'static>>,
    /// The compressed block.
    output: Vec<u8>,
    /// A block whose pieces do not lie together, or one that was hidden.
    pub(super) joined: Vec<u8>,
}

impl Scratch {
    /// The block made shorter, by a sixteenth of its length at least; `None` if that cannot be.
    pub(super) fn compress(&mut self, method: Method, block: &[u8]) -> Option<&[u8]> {
        let most = block.len() - block.len().div_ceil(16);
        let len = match method {
            Method::None => return None,
            Method::Lz4 => {
                let bound = lz4_flex::block::get_maximum_output_size(block.len());
                if self.output.len() < bound {
                    self.output.resize(bound, 0);
                }
                lz4_flex::block::compress_into(block, &mut self.output).ok()?
            }
            Method::Zstd => {
                if self.output.len() < most {
                    self.output.resize(most, 0);
                }
                if self.compressing.is_none() {
                    self.compressing = CCtx::try_create();
                }
                let context = self.compressing.as_mut()?;
                // Too long a result is an error as well.
                context
                    .compress(&mut self.output[..most], block, ZSTD_LEVEL)
                    .ok()?
            }
        };
        (0 < len && len <= most).then(|| &self.output[..len])
    }

    /// Fills `target` with the block; false if that is not what the bytes stand for.
    pub(super) fn decompress(&mut self, method: Method, block: &[u8], target: &mut [u8]) -> bool {
        decompress(&mut self.decompressing, method, block, target)
    }

    /// As [`decompress`](Self::decompress), of what [`joined`](Self::joined) holds.
    pub(super) fn decompress_joined(&mut self, method: Method, target: &mut [u8]) -> bool {
        decompress(&mut self.decompressing, method, &self.joined, target)
    }
}

fn decompress(
    context: &mut Option<DCtx<'static>>,
    method: Method,
    block: &[u8],
    target: &mut [u8],
) -> bool {
    let len = match method {
        Method::None => return false,
        Method::Lz4 => lz4_flex::block::decompress_into(block, target).ok(),
        Method::Zstd => {
            if context.is_none() {
                *context = DCtx::try_create();
            }
            let context = context.as_mut();
            context.and_then(|context| context.decompress(&mut *target, block).ok())
        }
    };
    len == Some(target.len())
}
