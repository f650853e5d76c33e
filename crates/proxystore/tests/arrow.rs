//! Record batches and tables: put, get, and what is not copied on the way.
#![allow(clippy::unwrap_used, reason = "a test")]

use arrow_array::builder::{
    BooleanBuilder, ListBuilder, StringDictionaryBuilder, StringViewBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int32Array, RecordBatch, RecordBatchIterator,
    StringArray, StructArray, TimestampNanosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use proxystore::codec::arrow::Table;
use proxystore::codec::{Encode, Object};
use proxystore::frame::Codec;
use proxystore::{ErrorKind, Store};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

fn batch(start: i32) -> RecordBatch {
    let mut flags = BooleanBuilder::new();
    let mut views = StringViewBuilder::new();
    let mut lists = ListBuilder::new(arrow_array::builder::Int16Builder::new());
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    for i in 0..100 {
        flags.append_option((i % 7 != 0).then_some(i % 3 == 0));
        views.append_value(format!("a text that is longer than twelve bytes: {i}"));
        lists.values().append_value(i);
        lists.append(i % 5 != 0);
        kinds.append_value(["red", "green", "blue"][i as usize % 3]);
    }
    let integers = Int32Array::from_iter((0..100).map(|i| (i % 4 != 0).then_some(i + start)));
    let texts = StringArray::from_iter((0..100).map(|i| (i % 9 != 0).then(|| format!("row {i}"))));
    let decimals = Decimal128Array::from_iter_values((0..100).map(|i| i * 10_i128.pow(20)));
    let decimals = decimals.with_precision_and_scale(38, 2).unwrap();
    let times = TimestampNanosecondArray::from_iter_values(0..100).with_timezone("Europe/Paris");
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Float64, false)),
        Arc::new(Float64Array::from_iter_values((0..100).map(f64::from))) as ArrayRef,
    )]);
    RecordBatch::try_from_iter_with_nullable([
        ("integers", Arc::new(integers) as ArrayRef, true),
        ("texts", Arc::new(texts), true),
        ("decimals", Arc::new(decimals), true),
        ("times", Arc::new(times), true),
        ("inner", Arc::new(inner), true),
        ("flags", Arc::new(flags.finish()), true),
        ("views", Arc::new(views.finish()), true),
        ("lists", Arc::new(lists.finish()), true),
        ("kinds", Arc::new(kinds.finish()), true),
    ])
    .unwrap()
}

fn object(value: &impl Encode) -> Object {
    let bytes = value
        .encode()
        .unwrap()
        .with_payload(|payload| payload.to_vec());
    Object::parse(proxystore::Blob::copy_from(&bytes)).unwrap()
}

#[test]
fn batches_and_tables_come_back_as_they_were() {
    let directory = std::env::temp_dir().join(format!("proxystore-arrow-{}", std::process::id()));
    let file = Store::open("tables", &format!("file://{}", directory.display())).unwrap();
    for store in [Store::in_memory("tables"), file] {
        let empty = RecordBatch::new_empty(batch(0).schema());
        let slice = batch(0).slice(13, 20);
        for batch in [batch(0), empty, slice] {
            let key = store.put(&batch).unwrap();
            assert_eq!(store.get::<RecordBatch>(&key).unwrap().unwrap(), batch);
        }
        let metadata = HashMap::from([("made by".to_owned(), "a test".to_owned())]);
        let schema: Schema = batch(0).schema().as_ref().clone().with_metadata(metadata);
        let schema = Arc::new(schema);
        let batches: Vec<_> = [0, 500]
            .into_iter()
            .map(|start| batch(start).with_schema(schema.clone()).unwrap())
            .collect();
        for count in 0..=2 {
            let table = Table::new(schema.clone(), batches[..count].to_vec()).unwrap();
            let key = store.put(&table).unwrap();
            let back: Table = store.get(&key).unwrap().unwrap();
            assert_eq!(back, table);
            assert_eq!(back.row_count(), 100 * count);
            assert_eq!(back.schema(), &schema);
            let as_batch = store.get::<RecordBatch>(&key);
            match count {
                0 => assert_eq!(as_batch.unwrap().unwrap().num_rows(), 0),
                1 => assert_eq!(as_batch.unwrap().unwrap(), batches[0]),
                _ => assert_eq!(as_batch.unwrap_err().kind(), ErrorKind::WrongType),
            }
        }
        let reader = RecordBatchIterator::new(batches.clone().into_iter().map(Ok), schema);
        assert_eq!(Table::from_reader(reader).unwrap().into_batches(), batches);
        store.close(true).unwrap();
    }
}

#[test]
fn columns_are_not_copied() {
    let column = Float64Array::from_iter_values((0..100_000).map(f64::from));
    let memory = column.values().as_ptr().addr();
    let batch = RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap();
    // On the way in: the column is a piece of the payload.
    batch.encode().unwrap().with_payload(|payload| {
        let lies_there = |piece: &&[u8]| piece.as_ptr().addr() == memory && piece.len() == 800_000;
        assert!(payload.pieces().iter().any(|piece| lies_there(&&**piece)));
    });
    // And out: it lies in the object's memory.
    let object = object(&batch);
    let back: RecordBatch = proxystore::codec::Decode::decode(&object).unwrap();
    let values = back.column(0).to_data().buffers()[0].as_ptr().addr();
    let frame = object.blob().as_ptr().addr();
    assert!((frame..frame + object.byte_len()).contains(&values));
    assert_eq!(values % 64, 0);
    drop(object);
    let sum: f64 = back
        .column(0)
        .as_any()
        .downcast_ref::<Float64Array>()
        .unwrap()
        .values()
        .iter()
        .sum();
    assert_eq!(sum, 99_999.0 * 50_000.0);
}

#[test]
fn a_small_slice_leaves_its_parent_behind() {
    let column = Float64Array::from_iter_values((0..100_000).map(f64::from));
    let texts = StringArray::from_iter_values((0..100_000).map(|i| format!("row {i}")));
    let batch =
        RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef), ("s", Arc::new(texts))])
            .unwrap()
            .slice(500, 10);
    let object = object(&batch);
    assert!(object.byte_len() < 2000, "{}", object.byte_len());
    let back: RecordBatch = proxystore::codec::Decode::decode(&object).unwrap();
    assert_eq!(back, batch);
}

#[test]
fn what_is_no_table_says_so() {
    let store = Store::in_memory("no tables");
    let key = store.put("text").unwrap();
    let error = store.get::<RecordBatch>(&key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("codec Str"), "{error}");
    let key = store.put(&batch(0)).unwrap();
    let error = store.get::<String>(&key).unwrap_err();
    assert!(error.to_string().contains("codec Arrow"), "{error}");
    let other = Schema::new(vec![Field::new("y", DataType::Int8, false)]);
    let error = Table::new(Arc::new(other), vec![batch(0)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
}

fn golden(name: &str) -> PathBuf {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    PathBuf::from(tests).join(format!("{name}.frame"))
}

fn read(name: &str) -> Object {
    Object::parse(std::fs::read(golden(name)).unwrap().into()).unwrap()
}

fn from_rust() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        (
            "x",
            Arc::new(Float64Array::from(vec![1.5, 2.5])) as ArrayRef,
            false,
        ),
        (
            "s",
            Arc::new(StringArray::from(vec![Some("grün"), None])),
            true,
        ),
    ])
    .unwrap()
}

#[test]
fn golden_frames_of_python_and_rust() {
    use proxystore::codec::Decode;
    let table = Table::decode(&read("arrow-table")).unwrap();
    assert_eq!(table.row_count(), 3);
    let integers = table.batches()[0].column(0).to_data();
    assert_eq!(integers.null_count(), 1);
    let batch = RecordBatch::decode(&read("arrow-batch")).unwrap();
    let expected: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.5]));
    assert_eq!(batch.column(0), &expected);
    let object = read("arrow-from-rust");
    assert_eq!(object.codec(), Codec::Arrow);
    assert_eq!(object.stream(), b"batch");
    assert_eq!(RecordBatch::decode(&object).unwrap(), from_rust());
}

#[test]
#[ignore = "writes the file that the others read; only for a new version of the frame"]
fn write_the_golden_frame() {
    let frame = object(&from_rust());
    std::fs::write(golden("arrow-from-rust"), &frame.blob()[..]).unwrap();
}
