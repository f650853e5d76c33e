//! What only object stores do: parts and ranges under faults, leases, credentials, what services
//! answer.

mod answers;
mod faults;
mod objects;

use proxystore::connectors::object_store::{ObjectStoreConfig, ObjectStoreConnector, Provider};
use std::time::Duration;

/// A namespace of a bucket behind an address.
fn config(endpoint: &str, namespace: &str) -> ObjectStoreConfig {
    ObjectStoreConfig {
        endpoint: Some(endpoint.to_owned()),
        namespace: namespace.to_owned(),
        username: Some("AKIDEXAMPLE".to_owned()),
        password: Some("hunter2".to_owned()),
        timeout: Duration::from_secs(20),
        ..ObjectStoreConfig::new(Provider::S3, "bucket")
    }
}

fn open(config: ObjectStoreConfig) -> ObjectStoreConnector {
    ObjectStoreConnector::new(config).expect("a sound configuration")
}

/// Bytes that differ from those of another seed, and from each other.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
