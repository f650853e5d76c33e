//! Keys, URLs, references and options that were changed at random: whatever the text, readers
//! answer, and what they take they give back the same.
#![allow(clippy::unwrap_used, reason = "a test")]

use proxystore::config::{Bytes, Url};
use proxystore::connectors::redis::RedisConfig;
use proxystore::{Key, Reference};
use std::path::PathBuf;
use std::time::Duration;

const ROUNDS: usize = 30_000;

/// A small generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn change(&mut self, seed: &str) -> String {
        const PARTS: [&str; 24] = [
            "%",
            "%4",
            "%00",
            "%FF",
            "#",
            "?",
            "&",
            "=",
            "@",
            ":",
            "/",
            "//",
            "[",
            "]",
            ",",
            "..",
            "\0",
            "\n",
            "ß",
            "🦀",
            "${",
            "}",
            "99999999999999999999",
            "-1",
        ];
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            match self.below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => {
                    let part = PARTS[self.below(PARTS.len())];
                    text.splice(at..at, part.chars());
                }
                2 => text.truncate(at),
                _ => {
                    let from = self.below(text.len() + 1);
                    let copied: Vec<char> = text[from.min(at)..from.max(at)].to_vec();
                    text.extend(copied);
                    text.truncate(2000);
                }
            }
        }
        text.into_iter().collect()
    }
}

#[test]
fn keys() {
    let mut random = Random(0x5EED);
    for _ in 0..ROUNDS {
        let text = random.change("06bq8r3n-key.of_an@object~1");
        if let Ok(key) = Key::new(&text) {
            assert_eq!(key.as_str(), text);
            assert!(
                !text.contains(['/', '\0']) && text != "." && text != "..",
                "{text:?}"
            );
        }
    }
}

#[test]
fn urls() {
    const SEEDS: [&str; 10] = [
        "s3://${ID}:${SECRET}@bucket/a/prefix?endpoint=http://127.0.0.1:9000&region=eu-west-1&leases=false",
        "az://account@container/prefix?timeout=5&retries=3&retry_timeout=60&ca_file=/a/b",
        "gs://bucket?service_account=/a.json&anonymous=true&namespace=team&connect_timeout=1",
        "redis://user:p%40ss@[::1]:6380/2?timeout=2.5&namespace=team&retries=3",
        "redis://:${REDIS_PASSWORD}@cache:6379/0?ca_file=/a/b&allow_secret=true",
        "redis+sentinel://one:26379,two:26379/primary/3?sentinel_password=x",
        "redis+unix:///run/redis.sock?db=4&clear=false",
        "file:///var/data/objects?clear=true&compression=zstd",
        "shm://?limit=2GiB&dir=/dev/shm&spill_dir=/tmp",
        "rediss://cache:6380/0?signing=env:KEY&server_name=cache.example",
    ];
    let mut random = Random(0xCAFE);
    let mut sound = 0;
    for round in 0..ROUNDS {
        let text = random.change(SEEDS[round % SEEDS.len()]);
        let Ok(url) = Url::parse(&text) else { continue };
        sound += 1;
        if url.password() == Some("p@ss") && text.matches("ss").count() == 1 {
            assert!(!format!("{url:?}").contains("p@ss"), "{text}");
        }
        let mut options = url.clone();
        let _ = options.take::<Duration>("timeout");
        let _ = options.take::<Bytes>("limit");
        let _ = options.take::<PathBuf>("dir");
        let _ = options.take::<bool>("clear");
        let _ = options.take::<u32>("retries");
        let _ = options.finish();
        // Nothing is connected to; a variable that is not set is an error.
        #[cfg(feature = "object-stores")]
        let _ = proxystore::connectors::object_store::ObjectStoreConfig::from_url(url.clone());
        let _ = RedisConfig::from_url(url);
    }
    assert!(sound > ROUNDS / 10, "{sound}");
}

#[test]
fn references() {
    let seed = "redis://127.0.0.1:6379/0?timeout=5#store=results%20of&key=06bq8r&evict=true";
    let mut random = Random(0xBEEF);
    let mut sound = 0;
    for _ in 0..ROUNDS {
        let text = random.change(seed);
        if let Ok(reference) = text.parse::<Reference>() {
            sound += 1;
            let again: Reference = reference.to_text().parse().unwrap();
            assert_eq!(again, reference, "{text}");
        }
    }
    assert!(sound > ROUNDS / 20, "{sound}");
}

#[cfg(feature = "seal")]
#[test]
fn names_of_keys() {
    use proxystore::seal::{KeyReference, SealConfig};
    let mut random = Random(0xF00D);
    for round in 0..ROUNDS {
        let text = random.change(["env:CAMPAIGN_KEY", "file:/etc/keys/a key"][round % 2]);
        if let Ok(key) = text.parse::<KeyReference>() {
            let config = SealConfig::default().encryption(key);
            let mut url = Url::parse(&format!("x://?{}", config.to_options())).unwrap();
            assert_eq!(SealConfig::of_url(&mut url).unwrap(), config, "{text}");
        }
    }
}
