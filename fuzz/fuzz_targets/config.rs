//! Any text as the configuration of connectors by URL; nothing is connected to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore::config::{Bytes, Url};
use proxystore::connectors::redis::RedisConfig;
use proxystore::routing::Policy;
use std::time::Duration;

fuzz_target!(|text: &str| {
    let _ = Policy::default().hosts([text]);
    let Ok(mut url) = Url::parse(text) else {
        return;
    };
    let _ = RedisConfig::from_url(url.clone());
    let _ = url.take::<Duration>("timeout");
    let _ = url.take::<Bytes>("limit");
    let _ = url.take::<bool>("clear");
    let _ = url.take::<std::path::PathBuf>("dir");
    let _ = url.finish();
});
