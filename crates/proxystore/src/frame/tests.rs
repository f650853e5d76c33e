use super::*;
use crate::ErrorKind;

fn sample(checksum_buffers: bool) -> Vec<u8> {
    let mut builder = FrameBuilder::new(Codec::Pickle).checksum_buffers(checksum_buffers);
    builder.push_stream(b"str");
    builder.push_stream(b"eam");
    builder.push_buffer_pieces([&[7; 60][..], &[], &[7; 40]]);
    builder.push_buffer(b"");
    builder.push_buffer(b"end");
    let head = builder.head();
    let payload = builder.payload(&head);
    assert!(payload.is_framed());
    assert_eq!(payload.len(), builder.total_len());
    payload.to_vec()
}

#[test]
fn reads_what_it_wrote() {
    for checksum_buffers in [false, true] {
        let bytes = sample(checksum_buffers);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.codec(), Codec::Pickle);
        assert_eq!(frame.stream(), b"stream");
        assert_eq!(frame.buffer(0), &[7; 100]);
        assert_eq!(frame.buffer(1), b"");
        assert_eq!(frame.buffer(2), b"end");
        assert!(
            frame
                .buffer_ranges()
                .iter()
                .all(|range| range.start % ALIGN == 0)
        );
    }
}

#[test]
fn every_truncation_is_seen() {
    let bytes = sample(false);
    for len in 0..bytes.len() {
        assert_eq!(
            Frame::parse(&bytes[..len]).unwrap_err().kind(),
            ErrorKind::InvalidFrame
        );
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(Frame::parse(&longer).is_err());
}

#[test]
fn every_changed_byte_of_the_head_is_seen() {
    let mut bytes = sample(false);
    let head_and_stream = HEADER_LEN + 3 * 8 + 6;
    for at in 0..head_and_stream {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(Frame::parse(&bytes).is_err(), "byte {at}, bit {bit}");
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_changed_byte_of_a_buffer_is_seen_on_request() {
    let mut bytes = sample(true);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(
        Frame::parse(&bytes).unwrap_err().kind(),
        ErrorKind::InvalidFrame
    );
    let mut unchecked = sample(false);
    let last = unchecked.len() - 1;
    unchecked[last] ^= 1;
    assert_eq!(Frame::parse(&unchecked).unwrap().buffer(2), b"ene");
}

#[test]
fn a_newer_version_or_flag_or_codec_is_named() {
    let mut version = sample(false);
    version[4] = VERSION + 1;
    let mut flag = sample(false);
    flag[6] |= 2;
    let mut codec = sample(false);
    codec[5] = 200;
    for bytes in [&mut flag, &mut codec] {
        let stream_end = HEADER_LEN + 3 * 8 + 6;
        let stream_start = HEADER_LEN + 3 * 8;
        let (head, rest) = bytes.split_at(stream_start);
        let sum = head_checksum(head, std::iter::once(&rest[..stream_end - stream_start]));
        bytes[CHECKSUM_AT].copy_from_slice(&sum.to_le_bytes());
    }
    for bytes in [version, flag, codec] {
        assert_eq!(
            Frame::parse(&bytes).unwrap_err().kind(),
            ErrorKind::NewerFrame
        );
    }
}

#[test]
fn a_wrong_number_of_buffers_is_refused() {
    let builder = FrameBuilder::new(Codec::Bytes);
    let head = builder.head();
    let error = Frame::parse(&head).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidFrame);
}
