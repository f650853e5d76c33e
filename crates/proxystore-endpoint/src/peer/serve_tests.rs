//! What a peer that is on the list can send us, and what not: no bytes make an endpoint panic, hang or keep anything.

use super::Peers;
use super::channel::Channel;
use super::config::PeersConfig;
use super::serve::serve;
use super::wire::{HEADER, Message, header};
use crate::identity::SecretKey;
use crate::object::Object;
use crate::objects::Objects;
use crate::remote::{Allowed, Remote};
use proxystore::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Holds one object, and takes small ones.
struct One(Object);

impl Objects for One {
    fn get(&self, key: &str) -> Result<Option<Object>> {
        Ok((key == "key").then(|| self.0.clone()))
    }

    fn get_in_memory(&self, key: &str) -> Option<Option<Object>> {
        self.get(key).ok()
    }

    fn put(&self, _key: &str, object: Object) -> Result<()> {
        self.check(object.len() as u64)
    }

    fn is_quick(&self, _len: usize) -> bool {
        true
    }

    fn exists(&self, key: &str) -> bool {
        key == "key"
    }

    fn evict(&self, _key: &str) -> Result<()> {
        Ok(())
    }

    fn limit(&self) -> Option<u64> {
        Some(1 << 20)
    }
}

fn requests() -> Vec<Message> {
    let key = || b"key".to_vec();
    vec![
        Message::Get {
            key: key(),
            stamp: 0,
            offset: 0,
            length: 100,
            bytes: true,
        },
        Message::Get {
            key: key(),
            stamp: 3,
            offset: u64::MAX,
            length: u64::MAX,
            bytes: true,
        },
        Message::Get {
            key: key(),
            stamp: 0,
            offset: 10,
            length: u64::MAX,
            bytes: false,
        },
        Message::Put {
            key: key(),
            total: 0,
        },
        Message::Put {
            key: key(),
            total: 100_000,
        },
        Message::Put {
            key: key(),
            total: u64::MAX,
        },
        Message::Write {
            ticket: 1,
            offset: 0,
            length: 10,
        },
        Message::Write {
            ticket: 1,
            offset: u64::MAX,
            length: u64::MAX,
        },
        Message::Finish { ticket: 1 },
        Message::Exists { key: key() },
        Message::Evict { key: vec![0xff] },
        Message::Ping,
        Message::Answer(true),
    ]
}

async fn endpoint() -> (Arc<Peers>, crate::identity::PublicKey, std::path::PathBuf) {
    let list = std::env::temp_dir().join(format!("proxystore-serve-{}.toml", std::process::id()));
    let mut config = PeersConfig::new(SecretKey::generate(), &list);
    (config.quic, config.tls) = (false, false);
    let held = One(Object::copy_from(&[7; 5000]).unwrap());
    let peers = Peers::start(config, Arc::new(held)).await.unwrap();
    let friend = SecretKey::generate().public();
    let addresses = Vec::new();
    peers
        .add(Allowed {
            key: friend.to_string(),
            uuid: None,
            label: None,
            addresses,
        })
        .unwrap();
    (peers, friend, list)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_on_an_open_channel_panic_or_hang() {
    let (peers, friend, list) = endpoint().await;
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..3000 {
        let mut bytes = Vec::new();
        for _ in 0..=random() % 3 {
            requests()[random() as usize % requests().len()].encode(&mut bytes);
        }
        for _ in 0..random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 3 {
                0 => bytes[at] ^= 1 << (random() % 8),
                1 => bytes.insert(at, random() as u8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let channel = Channel::new(Box::new(theirs), None, Arc::default());
        let serving = tokio::spawn(serve(
            Arc::clone(peers.shared()),
            friend,
            channel,
            Duration::from_secs(5),
        ));
        let (mut reader, mut writer) = tokio::io::split(ours);
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), reader.read_to_end(&mut answer));
        assert!(
            read.await.is_ok(),
            "round {round}: it neither answers nor ends"
        );
        assert!(serving.await.is_ok(), "round {round}: it panicked");
        if let Some(first) = answer.first_chunk::<HEADER>() {
            assert!(
                header(*first).is_ok(),
                "round {round}: the answer is no message"
            );
        }
    }
    std::fs::remove_file(list).unwrap();
}
