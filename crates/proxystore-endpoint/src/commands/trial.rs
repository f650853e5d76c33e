//! One object, tried out.

use super::arguments::Test;
use super::{Done, say};
use crate::client::Client;
use proxystore::codec::Object;
use proxystore::frame::Codec;
use proxystore::{Access, Key, Payload};

pub(super) fn run(client: &Client, remote: &str, action: Test) -> Done {
    match action {
        Test::Put { data } => {
            let key = Key::fresh();
            client.put(remote, key.as_str(), &Payload::from_bytes(data.as_bytes()))?;
            say(&format!("put the object under the key {key}"))
        }
        Test::Get { key } => match client.get(remote, &key, Access::View)? {
            None => Err(format!("there is no object under the key {key}").into()),
            Some(blob) => {
                let framed = Object::parse(blob.clone()).ok();
                let bytes = match &framed {
                    Some(object) if matches!(object.codec(), Codec::Bytes | Codec::Str) => {
                        object.buffer(0)?
                    }
                    _ => &blob[..],
                };
                match std::str::from_utf8(bytes) {
                    Ok(text) => say(text),
                    Err(_) => say(&format!("an object of {} bytes", blob.len())),
                }
            }
        },
        Test::Exists { key } => {
            let found = client.exists(remote, &key)?;
            say(&format!(
                "there is {} object under the key {key}",
                if found { "an" } else { "no" }
            ))
        }
        Test::Evict { key } => {
            client.evict(&[(remote, &key)])?;
            say(&format!("there is no object under the key {key} any more"))
        }
    }
}
