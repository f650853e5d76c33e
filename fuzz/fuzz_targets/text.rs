//! Any text as a key, a URL, a reference and an option.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore::config::{Bytes, Url};
use proxystore::seal::{KeyReference, SealConfig};
use proxystore::{Key, Reference};

fuzz_target!(|text: &str| {
    if let Ok(key) = Key::new(text) {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(mut url) = Url::parse(text) {
        let _ = url.take::<Bytes>("limit");
        let _ = SealConfig::of_url(&mut url);
        let _ = url.finish();
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_text().parse::<Reference>().unwrap(), reference);
    }
    let _ = text.parse::<KeyReference>();
});
