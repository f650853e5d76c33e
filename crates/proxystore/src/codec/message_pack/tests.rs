use super::*;

fn tokens(bytes: &[u8]) -> Result<Vec<Token<'_>>> {
    let mut reader = Reader::new(bytes);
    let mut tokens = Vec::new();
    while !reader.is_at_end() {
        tokens.push(reader.token()?);
    }
    Ok(tokens)
}

#[test]
fn integers_of_every_width() {
    let edges = [
        0,
        1,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        u64::from(u32::MAX),
        u64::from(u32::MAX) + 1,
    ];
    for edge in edges {
        for value in [edge as i64, -(edge as i64), -(edge as i64) - 1] {
            let mut writer = Writer::default();
            writer.signed(value);
            let token = tokens(&writer.0).unwrap()[0];
            let read = match token {
                Token::Int(read) => i128::from(read),
                Token::Uint(read) => i128::from(read),
                other => panic!("{other:?}"),
            };
            assert_eq!(read, i128::from(value));
        }
    }
    let mut writer = Writer::default();
    writer.signed(i64::MIN);
    writer.0.clear();
    writer.unsigned(u64::MAX);
    assert_eq!(tokens(&writer.0).unwrap(), [Token::Uint(u64::MAX)]);
}

#[test]
fn lengths_of_every_width() {
    for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        let content = vec![b'x'; len];
        let mut writer = Writer::default();
        writer.text(&content);
        assert_eq!(tokens(&writer.0).unwrap(), [Token::Str(&content)]);
        writer.0.clear();
        writer.bytes(&content);
        assert_eq!(tokens(&writer.0).unwrap(), [Token::Bytes(&content)]);
        for short in [false, true] {
            writer.0.clear();
            let open = writer.open(Extension::Tuple, short);
            writer.0.extend_from_slice(&content);
            writer.close(open);
            assert_eq!(tokens(&writer.0).unwrap(), [Token::Extension(2, &content)]);
        }
        writer.0.clear();
        writer.extension(Extension::Set, &content);
        assert_eq!(tokens(&writer.0).unwrap(), [Token::Extension(3, &content)]);
        writer.0.clear();
        writer.array_header(len);
        writer.0.extend(std::iter::repeat_n(0xc0, len));
        assert_eq!(tokens(&writer.0).unwrap().len(), len + 1);
        writer.0.clear();
        writer.map_header(len);
        writer.0.extend(std::iter::repeat_n(0xc0, 2 * len));
        assert_eq!(tokens(&writer.0).unwrap().len(), 2 * len + 1);
    }
}

#[test]
fn texts_of_every_short_length() {
    let letters: Vec<u8> = (b'A'..=b'z').collect();
    for len in 0..=40 {
        let mut expected = Writer::default();
        expected.text_header(len);
        expected.0.extend_from_slice(&letters[..len]);
        let mut writer = Writer(vec![0xc0]);
        writer.text(&letters[..len]);
        assert_eq!(writer.0[1..], expected.0, "{len}");
    }
}

#[test]
fn more_elements_than_bytes_are_refused() {
    assert!(tokens(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0]).is_err());
    assert!(tokens(&[0x92, 0x92, 0, 0]).is_err());
    assert!(tokens(&[0xc1]).is_err());
    assert!(tokens(&[]).is_err());
}

#[test]
fn a_value_is_all_its_bytes() {
    // [[1, {"a": []}], 2]
    let bytes = [0x92, 0x92, 1, 0x81, 0xa1, b'a', 0x90, 2];
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.token().unwrap(), Token::Array(2));
    assert_eq!(reader.value().unwrap(), &bytes[1..7]);
    assert_eq!(reader.value().unwrap(), [2]);
    assert!(reader.is_at_end());
    assert!(reader.value().is_err());
    assert_eq!(Reader::new(&bytes).value().unwrap(), bytes);
    assert!(Reader::new(&bytes[..7]).value().is_err());
}

#[test]
fn every_extension_has_its_number() {
    for extension in Extension::ALL {
        assert_eq!(Extension::from_number(extension as i8), Some(extension));
    }
    for number in [i8::MIN, -1, 0, 9, i8::MAX] {
        assert_eq!(Extension::from_number(number), None);
    }
}
