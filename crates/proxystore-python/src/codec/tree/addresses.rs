//! Sets of objects, by address.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Addresses = HashSet<usize, BuildHasherDefault<AddressHasher>>;

/// Addresses are spread well enough by one multiplication.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_usize(&mut self, address: usize) {
        let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 29);
    }
}
