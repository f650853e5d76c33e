//! Any bytes as an envelope, of stores with and without a key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore::seal::{Seal, SealConfig};
use proxystore::{ErrorKind, Key};
use std::sync::OnceLock;

static SEALS: OnceLock<[Seal; 3]> = OnceLock::new();

fn seals() -> [Seal; 3] {
    // SAFETY: libFuzzer runs one thread, and this once.
    unsafe { std::env::set_var("FUZZED_KEY", "5f".repeat(32)) };
    ["", "signing=env:FUZZED_KEY", "encryption=env:FUZZED_KEY"].map(|options| {
        let mut url = proxystore::config::Url::parse(&format!("x://?{options}")).unwrap();
        Seal::new(&SealConfig::of_url(&mut url).unwrap()).unwrap()
    })
}

fuzz_target!(|bytes: &[u8]| {
    let key = Key::new("the-key").unwrap();
    for seal in SEALS.get_or_init(seals) {
        match seal.open(bytes.to_vec().into(), Some(&key)) {
            // Golden envelopes are in the corpus: what is read was written with the key.
            Ok(_) => {}
            Err(error) => assert!(matches!(
                error.kind(),
                ErrorKind::Untrusted
                    | ErrorKind::InvalidFrame
                    | ErrorKind::NewerFrame
                    | ErrorKind::TooLarge
            )),
        }
    }
});
