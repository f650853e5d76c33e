use super::*;
use crate::codec::ndarray::{Description, Kind};
use crate::codec::{AnyArray, Object};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Debug;

fn object(value: &dyn Encode) -> Object {
    let bytes = value
        .encode()
        .unwrap()
        .with_payload(|payload| payload.to_vec());
    Object::parse(bytes.into()).unwrap()
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let read: T = decode(&object(&MessagePack(&value))).unwrap();
    assert_eq!(read, value);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Shape {
    Nothing,
    Circle(f64),
    Box(u8, i64),
    Named {
        name: String,
        inner: Option<Box<Shape>>,
    },
}

#[test]
fn what_serde_has() {
    round_trip(true);
    round_trip(i128::MIN);
    round_trip(u128::MAX);
    round_trip(u64::MAX);
    round_trip(-1_i128 << 70);
    round_trip('é');
    round_trip(Some(3));
    round_trip(None::<i32>);
    round_trip((1, "two".to_owned(), [3.0, 4.0]));
    round_trip(vec![vec![1_u8, 2], vec![]]);
    round_trip(BTreeMap::from([((1, 2), 'a'), ((3, 4), 'b')]));
    round_trip(vec![
        Shape::Nothing,
        Shape::Circle(1.5),
        Shape::Box(1, -2),
        Shape::Named {
            name: "x".repeat(1000),
            inner: Some(Box::new(Shape::Nothing)),
        },
    ]);
}

#[test]
fn sequences_of_unknown_length() {
    struct Evens;
    impl Serialize for Evens {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..40).filter(|number| number % 2 == 0))
        }
    }
    let read: Vec<i32> = decode(&object(&MessagePack((Evens, Evens).0))).unwrap();
    assert_eq!(read.len(), 20);
}

#[test]
fn bytes_and_texts_are_values_too() {
    assert_eq!(decode::<String>(&object(&"text")).unwrap(), "text");
    assert_eq!(decode::<Vec<u8>>(&object(b"bytes")).unwrap(), b"bytes");
    assert_eq!(
        decode::<Value>(&object(b"bytes")).unwrap(),
        Value::Bytes(b"bytes".to_vec())
    );
}

#[test]
fn arrays_are_sequences_of_sequences() {
    let array = AnyArray::from_slice(&[2, 3], &[1_i16, 2, 3, 4, 5, -6]).unwrap();
    let rows: Vec<Vec<i32>> = decode(&object(&array)).unwrap();
    assert_eq!(rows, [[1, 2, 3], [4, 5, -6]]);

    let mut description = Description::new(Kind::Int, 2, &[2, 3]);
    description.fortran_order = true;
    description.big_endian = true;
    let memory = [1_i16, 4, 2, 5, 3, -6].map(i16::to_be_bytes).concat();
    let turned = AnyArray::new(description, memory.into()).unwrap();
    let rows: Vec<Vec<i32>> = decode(&object(&turned)).unwrap();
    assert_eq!(rows, [[1, 2, 3], [4, 5, -6]]);

    let halves = [0x3c00_u16, 0xc000, 0x7c00, 0x0001].map(u16::to_le_bytes);
    let description = Description::new(Kind::Float, 2, &[4]);
    let halves = AnyArray::new(description, halves.concat().into()).unwrap();
    let read: Vec<f64> = decode(&object(&halves)).unwrap();
    assert_eq!(read, [1.0, -2.0, f64::INFINITY, 2_f64.powi(-24)]);
}

#[test]
fn another_form_is_an_error_that_says_so() {
    let error = decode::<Vec<i32>>(&object(&MessagePack("text"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("expected a sequence"), "{error}");
    let error = decode::<(i32, i32)>(&object(&MessagePack([1, 2, 3]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
    let error = decode::<u8>(&object(&MessagePack(300))).unwrap_err();
    assert!(error.to_string().contains("300"), "{error}");
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let mut deep = Value::Nil;
    for _ in 0..300 {
        deep = Value::List(vec![deep]);
    }
    let error = MessagePack(&deep).encode().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
}

#[test]
fn damage_is_no_panic() {
    let value = (1, "two", vec![Some(1.5), None], BTreeMap::from([("k", -7)]));
    let whole = object(&MessagePack(value)).stream().to_vec();
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = (state % bytes.len() as u64) as usize;
            bytes[at] = (state >> 32) as u8;
        }
        let encoded = Encoded::new(Codec::MessagePack).stream(bytes);
        let object =
            Object::parse(encoded.with_payload(|payload| payload.to_vec()).into()).unwrap();
        let _ = decode::<Value>(&object);
    }
}
