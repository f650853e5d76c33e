//! Any bytes as what a client asks an endpoint, as what it answers, and as what a peer says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore_endpoint::peer::wire::{HEADER, Message, header};
use proxystore_endpoint::wire::{ANSWER_FIELDS, Answer, PREFIX, Prefix, REQUEST_FIELDS, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Some((head, fields)) = bytes.split_first_chunk::<PREFIX>() {
        if let Ok(prefix) = Prefix::decode(head, REQUEST_FIELDS) {
            let _ = Request::decode(prefix, fields);
        }
        if let Ok(prefix) = Prefix::decode(head, ANSWER_FIELDS) {
            let _ = Answer::decode(prefix, fields);
        }
    }
    if let Some((head, rest)) = bytes.split_first_chunk::<HEADER>()
        && let Ok((kind, length)) = header(*head)
        && let Some(body) = rest.get(..length)
        && let Ok(message) = Message::decode(kind, body)
    {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again[HEADER..], *body);
    }
});
