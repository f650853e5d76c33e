//! Directories and data for the trials.

use proxystore::Payload;
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::frame::{Codec, FrameBuilder};
use std::path::{Path, PathBuf};

/// A directory of the test's own, removed with everything in it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(root: &str) -> Self {
        let path = Path::new(root).join(format!("proxystore-test-{}", proxystore::Key::fresh()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn in_memory() -> Self {
        Self::new("/dev/shm")
    }

    pub(crate) fn on_disk() -> Self {
        Self::new(env!("CARGO_TARGET_TMPDIR"))
    }

    pub(crate) fn each() -> [Self; 2] {
        [Self::in_memory(), Self::on_disk()]
    }

    pub(crate) fn connector(&self) -> FileConnector {
        FileConnector::open(FileConfig::new(&self.0)).unwrap()
    }

    /// What is in it, but for where pages wait.
    pub(crate) fn names(&self) -> Vec<String> {
        std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".proxystore-recycled")
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that no two places have in common.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ len as u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&(state ^ state >> 32).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A frame of two buffers, as a store makes it.
pub(crate) fn with_frame<R>(bytes: &[u8], then: impl FnOnce(&Payload<'_>) -> R) -> R {
    let mut builder = FrameBuilder::new(Codec::Pickle);
    builder.push_stream(b"stream");
    builder.push_buffer(&bytes[..bytes.len() / 3]);
    builder.push_buffer(&bytes[bytes.len() / 3..]);
    let head = builder.head();
    then(&builder.payload(&head))
}
