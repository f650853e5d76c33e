//! The golden frames as Rust reads them: they were written by Python, but for one.
#![allow(clippy::unwrap_used, reason = "a test")]

use proxystore::codec::message_pack::{BufferLeaf, Extension, Reader, Token};
use proxystore::codec::ndarray::{Description, Kind};
use proxystore::frame::{Codec, Frame, FrameBuilder};
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    PathBuf::from(tests).join(format!("{name}.frame"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

#[test]
fn every_golden_frame_is_sound() {
    let mut count = 0;
    for entry in std::fs::read_dir(path("").parent().unwrap()).unwrap() {
        let file = entry.unwrap().path();
        if file
            .extension()
            .is_none_or(|extension| extension != "frame")
        {
            continue; // pickles have golden bytes of their own there
        }
        Frame::parse(&std::fs::read(file).unwrap()).unwrap();
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn bytes_and_text() {
    for (name, codec, stream, content) in [
        ("bytes", Codec::Bytes, &[][..], &b"hello"[..]),
        ("bytes-empty", Codec::Bytes, &[], b""),
        ("bytearray", Codec::Bytes, &[1], b"hello"),
        ("str", Codec::Str, &[], "grün".as_bytes()),
    ] {
        let bytes = read(name);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.codec(), codec);
        assert_eq!(frame.stream(), stream);
        assert_eq!(frame.buffer(0), content);
        let mut builder = FrameBuilder::new(codec);
        builder.push_stream(stream);
        builder.push_buffer(content);
        assert_eq!(builder.payload(&builder.head()).to_vec(), bytes);
    }
}

#[test]
fn arrays() {
    let bytes = read("ndarray-f8");
    let frame = Frame::parse(&bytes).unwrap();
    let description = Description::parse(frame.stream()).unwrap();
    assert_eq!(description, Description::new(Kind::Float, 8, &[2, 3]));
    let elements: Vec<f64> = frame
        .buffer(0)
        .as_chunks()
        .0
        .iter()
        .map(|raw| f64::from_le_bytes(*raw))
        .collect();
    assert_eq!(elements, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);

    let bytes = read("ndarray-fortran-big-endian");
    let frame = Frame::parse(&bytes).unwrap();
    let description = Description::parse(frame.stream()).unwrap();
    assert!(description.big_endian && description.fortran_order);
    assert_eq!(
        frame.buffer(0)[..8],
        [0, 0, 0, 0, 0, 0, 0, 3],
        "0, then 3: the first index runs fastest"
    );

    let bytes = read("ndarray-timedelta");
    let description = Description::parse(Frame::parse(&bytes).unwrap().stream()).unwrap();
    assert_eq!(description.kind, Kind::Timedelta);
    assert_eq!(&description.unit[..], b"25s");
}

#[test]
fn a_tree_with_leaves_in_buffers() {
    let bytes = read("tree-with-buffers");
    let frame = Frame::parse(&bytes).unwrap();
    let mut reader = Reader::new(frame.stream());
    assert_eq!(reader.token().unwrap(), Token::Map(2));
    let mut leaf = |key: &[u8]| {
        assert_eq!(reader.token().unwrap(), Token::Str(key));
        let Token::Extension(number, content) = reader.token().unwrap() else {
            panic!("a leaf in a buffer");
        };
        assert_eq!(Extension::from_number(number), Some(Extension::Buffer));
        BufferLeaf::parse(content).unwrap()
    };
    let (BufferLeaf::Ndarray(description), 0) = leaf(b"array") else {
        panic!("an array");
    };
    let description = Description::parse(description).unwrap();
    assert_eq!(description.byte_len(), Some(frame.buffer(0).len()));
    assert_eq!(leaf(b"text"), (BufferLeaf::Str, 1));
    assert_eq!(frame.buffer(1).len(), 65_536);
    assert!(reader.is_at_end());
}

fn checked_buffers() -> Vec<u8> {
    let mut builder = FrameBuilder::new(Codec::Bytes).checksum_buffers(true);
    builder.push_buffer(b"checked");
    builder.payload(&builder.head()).to_vec()
}

#[test]
fn a_frame_with_checked_buffers() {
    let bytes = read("checked-buffers");
    assert_eq!(bytes, checked_buffers());
    assert_eq!(Frame::parse(&bytes).unwrap().buffer(0), b"checked");
}

#[test]
#[ignore = "writes the file that the others read; only for a new version of the frame"]
fn write_the_frame_with_checked_buffers() {
    std::fs::write(path("checked-buffers"), checked_buffers()).unwrap();
}
