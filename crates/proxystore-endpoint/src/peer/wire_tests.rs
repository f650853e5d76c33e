//! The peer protocol's bytes are frozen, and no bytes make it panic.

use super::Cause;
use super::wire::*;
use crate::identity::Alias;

fn introduction() -> Introduction {
    Introduction {
        alias: Alias::from_bytes(std::array::from_fn(|at| at as u8)),
        limit: 1 << 40,
        port: 8766,
        software: "proxystore 2.0.0".into(),
    }
}

/// One message of each kind, with its bytes.
fn examples() -> Vec<(Message, &'static str)> {
    let key = b"an object".to_vec();
    vec![
        (
            Message::Hello {
                versions: (1, 1),
                introduction: introduction(),
            },
            "38000000010000005053545250454552010001000001020304050607\
             08090a0b0c0d0e0f00000000000100003e22100070726f787973746f726520322e302e30",
        ),
        (
            Message::Welcome {
                version: 1,
                introduction: introduction(),
            },
            "3600000002000000505354525045455201000001020304050607\
             08090a0b0c0d0e0f00000000000100003e22100070726f787973746f726520322e302e30",
        ),
        (
            Message::Get {
                key: key.clone(),
                stamp: 7,
                offset: 2_000_000,
                length: 4096,
                bytes: true,
            },
            "2400000003000000070000000000000080841e00000000000010000000000000010900616e206f626a656374",
        ),
        (
            Message::Found {
                total: 100_000_000,
                stamp: 7,
                length: 4096,
            },
            "180000000400000000e1f5050000000007000000000000000010000000000000",
        ),
        (
            Message::Put {
                key: key.clone(),
                total: 3,
            },
            "130000000500000003000000000000000900616e206f626a656374",
        ),
        (
            Message::Go { ticket: 9 },
            "08000000060000000900000000000000",
        ),
        (
            Message::Write {
                ticket: 9,
                offset: 1,
                length: 2,
            },
            "1800000007000000090000000000000001000000000000000200000000000000",
        ),
        (
            Message::Finish { ticket: 9 },
            "08000000080000000900000000000000",
        ),
        (
            Message::Exists { key: key.clone() },
            "0b000000090000000900616e206f626a656374",
        ),
        (
            Message::Evict { key },
            "0b0000000a0000000900616e206f626a656374",
        ),
        (Message::Ping, "000000000b000000"),
        (Message::Done, "000000000c000000"),
        (Message::Answer(true), "010000000d00000001"),
        (
            Message::Failed {
                cause: Cause::TooLarge,
                words: "too large".into(),
            },
            "0c0000000e000000030900746f6f206c61726765",
        ),
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn decoded(bytes: &[u8]) -> Result<Message, WireError> {
    let (kind, length) = header(bytes[..HEADER].try_into().unwrap())?;
    assert_eq!(length, bytes.len() - HEADER);
    Message::decode(kind, &bytes[HEADER..])
}

#[test]
fn the_bytes_of_every_message_are_frozen() {
    for (message, golden) in examples() {
        let bytes = encoded(&message);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, golden, "{message:?}");
        assert_eq!(decoded(&bytes).unwrap(), message);
    }
}

#[test]
fn every_cut_is_refused() {
    for (message, _) in examples() {
        let bytes = encoded(&message);
        for end in HEADER..bytes.len() {
            assert!(
                Message::decode(bytes[4], &bytes[HEADER..end]).is_err(),
                "{message:?} cut at {end}"
            );
        }
        let longer = [&bytes[HEADER..], &[0]].concat();
        let greeting = matches!(message, Message::Hello { .. } | Message::Welcome { .. });
        assert_eq!(
            Message::decode(bytes[4], &longer).is_ok(),
            greeting,
            "{message:?} and a byte more"
        );
    }
}

#[test]
fn no_mutation_panics_and_what_is_accepted_is_canonical() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut accepted = 0;
    for round in 0..40_000 {
        let examples = examples();
        let (message, _) = &examples[round % examples.len()];
        let mut bytes = encoded(message);
        for _ in 0..=random() % 3 {
            let at = random() as usize % bytes.len();
            match random() % 3 {
                0 => bytes[at] ^= 1 << (random() % 8),
                1 => bytes[at] = random() as u8,
                _ => bytes.truncate(at.max(HEADER)),
            }
        }
        let Ok((kind, length)) = header(bytes[..HEADER].try_into().unwrap()) else {
            continue;
        };
        assert!(length <= LONGEST_BODY);
        let body = &bytes[HEADER..];
        if let Ok(message) = Message::decode(kind, body) {
            accepted += 1;
            let again = encoded(&message);
            assert_eq!(decoded(&again).unwrap(), message);
        }
    }
    assert!(
        accepted > 1000,
        "the mutations hardly leave anything: {accepted}"
    );
}

#[test]
fn headers_bound_what_a_stranger_can_make_us_read() {
    assert_eq!(
        header([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]),
        Err(WireError::TooLong(0xffff_ffff))
    );
    assert_eq!(
        header([1, 0, 0, 0, 1, 0, 1, 0]),
        Err(WireError::Malformed(1))
    );
    assert_eq!(Message::decode(99, &[]), Err(WireError::UnknownKind(99)));
    assert_eq!(
        Message::decode(1, b"GET / HTTP/1.1\r\n"),
        Err(WireError::NotAPeer)
    );
    for length in [0_u16, 1025] {
        let body = [&length.to_le_bytes()[..], &vec![b'k'; usize::from(length)]].concat();
        assert_eq!(Message::decode(9, &body), Err(WireError::Malformed(9)));
    }
}

#[test]
fn words_of_a_stranger_play_no_tricks_on_a_terminal() {
    let message = Message::Failed {
        cause: Cause::Other,
        words: "a\x1b[31mb\n".into(),
    };
    let Message::Failed { words, .. } = decoded(&encoded(&message)).unwrap() else {
        panic!()
    };
    assert_eq!(words, "a\u{fffd}[31mb\u{fffd}");
    let endless = Message::Failed {
        cause: Cause::Other,
        words: "é".repeat(100_000),
    };
    assert!(decoded(&encoded(&endless)).is_ok());
}

#[test]
fn causes_keep_their_codes() {
    for cause in Cause::ALL {
        assert_eq!(Cause::of_code(cause.code()), cause);
    }
    assert_eq!(Cause::of_code(200), Cause::Other);
    assert_eq!(Cause::NotFound.code(), 1);
    assert_eq!(Cause::Unsupported.code(), 10);
}

#[test]
fn a_checksum_knows_its_place() {
    let sum = |offset| checksum(offset, b"bytes");
    assert_ne!(sum(0), sum(2_000_000));
    assert_eq!(sum(0), 15_205_073_728_328_971_632);
}
