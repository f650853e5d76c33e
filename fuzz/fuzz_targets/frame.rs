//! Any bytes as a frame, as the stream of an array, and as MessagePack.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxystore::codec::message_pack::{BufferLeaf, Reader, Token};
use proxystore::codec::ndarray::Description;
use proxystore::frame::Frame;

fn walk(mut reader: Reader<'_>, depth: usize) {
    while depth < 50 && !reader.is_at_end() {
        let Ok(token) = reader.token() else { break };
        if let Token::Extension(_, content) = token {
            let _ = BufferLeaf::parse(content);
            walk(Reader::enter(content), depth + 1);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::parse(bytes) {
        let _ = Description::parse(frame.stream());
        walk(Reader::new(frame.stream()), 0);
    }
    if let Ok(array) = Description::parse(bytes) {
        assert_eq!(Description::parse(&array.to_bytes()).unwrap().shape, array.shape);
    }
    walk(Reader::new(bytes), 0);
});
