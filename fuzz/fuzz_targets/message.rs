//! Any bytes as a message of a stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore::Blob;
use proxystore::stream::Message;

fuzz_target!(|bytes: &[u8]| {
    let _ = Message::decode(Blob::copy_from(bytes));
});
