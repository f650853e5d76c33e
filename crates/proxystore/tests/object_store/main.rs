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
