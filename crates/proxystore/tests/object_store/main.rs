//! What only object stores do: parts and ranges under faults, leases, credentials, what services
//! answer.

mod answers;
mod faults;
mod objects;

use proxystore::connectors::object_store::{ObjectStoreConfig, ObjectStoreConnector, Provider};
use std::time::Duration;

/// A namespace of a bucket behind an address.
fn config(endpoint: &str, namespace: &str) -> ObjectStoreConfig {
    ObjectStoreConfig::new(Provider::S3, "bucket")
        .endpoint(endpoint)
        .namespace(namespace)
        .username("AKIDEXAMPLE")
        .password("hunter2")
        .timeout(Duration::from_secs(20))
}

fn open(config: ObjectStoreConfig) -> ObjectStoreConnector {
    ObjectStoreConnector::new(config).expect("a sound configuration")
}
