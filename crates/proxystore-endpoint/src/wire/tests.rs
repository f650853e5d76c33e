use super::*;

fn requests() -> Vec<(Request<'static>, u64)> {
    let (peer, key) = ("5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55", "k");
    vec![
        (Request::Hello { token: "secret" }, 0),
        (
            Request::Offer {
                peer,
                key,
                len: 1 << 40,
                shared: true,
            },
            0,
        ),
        (
            Request::Put {
                peer: "",
                key,
                shared: false,
                len: 5,
            },
            5,
        ),
        (
            Request::Put {
                peer,
                key,
                shared: true,
                len: 1 << 30,
            },
            0,
        ),
        (
            Request::Get {
                peer,
                key,
                shared: true,
            },
            0,
        ),
        (Request::Exists { peer: "", key }, 0),
        (Request::Evict { peer, key }, 0),
        (Request::Keys { after: "" }, 0),
        (Request::Clear, 0),
        (Request::Status, 0),
        (Request::Peers, 0),
        (
            Request::PeerAdd {
                key: "ab",
                uuid: "",
                label: "left",
                addresses: "h:1 h:2",
            },
            0,
        ),
        (Request::PeerRemove { name: "left" }, 0),
        (Request::PeerList, 0),
    ]
}

fn answers() -> Vec<(Answer, u64)> {
    let mut answers = vec![
        (
            Answer::Hello {
                uuid: "u".into(),
                limit: None,
            },
            0,
        ),
        (
            Answer::Hello {
                uuid: "u".into(),
                limit: Some(7),
            },
            0,
        ),
        (Answer::Done, 0),
        (
            Answer::Object {
                shared: false,
                len: 9,
            },
            9,
        ),
        (
            Answer::Object {
                shared: true,
                len: 9,
            },
            0,
        ),
        (Answer::Missing, 0),
        (Answer::Flag(false), 0),
        (Answer::Accepted { shared: true }, 0),
        (
            Answer::Records(vec![vec![], vec![("a".into(), "ä".into())]]),
            0,
        ),
        (Answer::Keys(vec!["k".into(), String::new()]), 0),
        (Answer::Wait, 0),
    ];
    for kind in ErrorKind::ALL {
        let message = format!("{kind:?}");
        answers.push((Answer::Failed { kind, message }, 0));
    }
    answers
}

fn split(bytes: &[u8]) -> (&[u8; PREFIX], &[u8]) {
    bytes.split_first_chunk().unwrap()
}

#[test]
fn every_message_comes_back() {
    for (request, body) in requests() {
        let bytes = request.encode(body);
        let (head, fields) = split(&bytes);
        let prefix = Prefix::decode(head, REQUEST_FIELDS).unwrap();
        assert_eq!((prefix.fields as usize, prefix.body), (fields.len(), body));
        assert_eq!(Request::decode(prefix, fields).unwrap(), request);
    }
    for (answer, body) in answers() {
        let bytes = answer.encode(body);
        let (head, fields) = split(&bytes);
        let prefix = Prefix::decode(head, ANSWER_FIELDS).unwrap();
        assert_eq!(Answer::decode(prefix, fields).unwrap(), answer);
    }
}

#[test]
fn golden_bytes() {
    let put = Request::Put {
        peer: "ab",
        key: "key",
        shared: false,
        len: 5,
    }
    .encode(5);
    let wanted = b"PE\x01\x03\x12\0\0\0\x05\0\0\0\0\0\0\0\x02\0ab\x03\0key\x05\0\0\0\0\0\0\0\0";
    assert_eq!(put, wanted);
    let get = Request::Get {
        peer: "",
        key: "key",
        shared: true,
    }
    .encode(0);
    assert_eq!(
        get,
        b"PE\x01\x04\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0key\x01"
    );
    let object = Answer::Object {
        shared: false,
        len: 5,
    }
    .encode(5);
    assert_eq!(
        object,
        b"PE\x01\x42\x09\0\0\0\x05\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0"
    );
    let failed = Answer::Failed {
        kind: ErrorKind::Full,
        message: "no".into(),
    }
    .encode(0);
    assert_eq!(
        failed,
        b"PE\x01\x49\x0a\0\0\0\0\0\0\0\0\0\0\0\x04\0full\x02\0no"
    );
}

#[test]
fn lengths_are_checked_before_memory_is_taken() {
    let mut bytes = Request::Status.encode(0);
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Prefix::decode(split(&bytes).0, REQUEST_FIELDS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let records = Answer::Records(vec![]).encode(0);
    let (head, _) = split(&records);
    let prefix = Prefix::decode(head, ANSWER_FIELDS).unwrap();
    assert!(Answer::decode(prefix, &u64::MAX.to_le_bytes()).is_err());
}

#[test]
fn another_version_is_named() {
    let mut bytes = Request::Status.encode(0);
    bytes[2] = 9;
    let error = Prefix::decode(split(&bytes).0, REQUEST_FIELDS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NewerFrame);
    assert!(error.to_string().contains("version 9"), "{error}");
}

/// Every message, with every byte changed and at every length, is read or refused, never a panic.
#[test]
fn damaged_messages_are_refused_or_read() {
    let mut messages: Vec<Vec<u8>> = requests()
        .iter()
        .map(|(one, body)| one.encode(*body))
        .collect();
    messages.extend(answers().iter().map(|(one, body)| one.encode(*body)));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for bytes in messages {
        for at in 0..bytes.len() {
            for _ in 0..16 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let mut damaged = bytes.clone();
                damaged[at] ^= (state >> 33) as u8;
                damaged.truncate(PREFIX.max(bytes.len() - (state >> 60) as usize % 4));
                let (head, fields) = split(&damaged);
                if let Ok(prefix) = Prefix::decode(head, ANSWER_FIELDS) {
                    let _ = Request::decode(prefix, fields);
                    let _ = Answer::decode(prefix, fields);
                }
            }
        }
    }
}

#[test]
fn long_texts_are_cut_at_a_letter() {
    let long = "ä".repeat(40_000);
    let bytes = Request::PeerRemove { name: &long }.encode(0);
    let (head, fields) = split(&bytes);
    let prefix = Prefix::decode(head, ANSWER_FIELDS).unwrap();
    let Request::PeerRemove { name } = Request::decode(prefix, fields).unwrap() else {
        panic!("another request");
    };
    assert_eq!(name.len(), 65_534);
}
