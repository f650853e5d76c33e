//! A program that shares a store with Python ones: puts sample values, gets what others put, by
//! references. The tests in `tests/both_ways` run it beside Python.
//!
//! ```text
//! both_ways put URL            prints a line `name reference` for each sample
//! both_ways get                reads such lines, and says what each holds
//! ```

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use proxystore::codec::arrow::Table;
use proxystore::codec::element::{Element, bytes_of};
use proxystore::codec::ndarray::Description;
use proxystore::codec::tree::{MessagePack, Value};
use proxystore::codec::{AnyArray, Decode, Object};
use proxystore::frame::Codec;
use proxystore::{Blob, ErrorKind, Key, Proxy, Reference, Result, Store};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["put", url] => put(&Store::open("both ways, from Rust", url)?),
        ["get"] => std::io::stdin()
            .lock()
            .lines()
            .map_while(std::result::Result::ok)
            .try_for_each(|line| get(&line)),
        _ => {
            eprintln!("usage: both_ways put URL | both_ways get");
            std::process::exit(2);
        }
    }
}

fn put(store: &Store) -> Result<()> {
    let show = |name: &str, key: &Key| -> Result<()> {
        show(&format!("{name} {}", store.reference(key)?.to_text()));
        Ok(())
    };
    show("bytes", &store.put(&b"\x00bytes\xff"[..])?)?;
    show("large-bytes", &store.put(&vec![7_u8; 3_000_000])?)?;
    show("str", &store.put("zwölf ☃ 𝄞")?)?;
    show("int", &store.put(&-42_i64)?)?;
    show("big-int", &store.put(&u128::MAX)?)?;
    show("float", &store.put(&0.1_f64)?)?;
    show(
        "list",
        &store.put(&MessagePack((1..=3).collect::<Vec<i32>>()))?,
    )?;
    show("tuple", &store.put(&MessagePack((1, "two", 3.0)))?)?;
    let map = BTreeMap::from([("a", vec![Some(1), None]), ("b", vec![])]);
    show("map", &store.put(&MessagePack(map))?)?;
    let pairs = BTreeMap::from([((1, 2), "x"), ((3, 4), "y")]);
    show("tuple-keys", &store.put(&MessagePack(pairs))?)?;
    let elements: Vec<f64> = (0..6).map(f64::from).collect();
    show(
        "array",
        &store.put(&AnyArray::from_slice(&[2, 3], &elements)?)?,
    )?;
    arrays(store)?;
    let flags = AnyArray::from_slice(&[3], &[true, false, true])?;
    show("flags", &store.put(&flags)?)?;
    let columns: [(_, ArrayRef, _); 2] = [
        ("x", Arc::new(Float64Array::from(vec![1.5, 2.5])), false),
        (
            "s",
            Arc::new(StringArray::from(vec![Some("grün"), None])),
            true,
        ),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    show("batch", &store.put(&batch)?)?;
    let table = Table::new(batch.schema(), vec![batch.clone(), batch])?;
    show("table", &store.put(&table)?)
}

/// The numbers 0 to 5 in two rows, of each type, in both orders of axes and of bytes.
fn arrays(store: &Store) -> Result<()> {
    macro_rules! of_each {
        ($($type:ty)*) => {$(of::<$type>(store, stringify!($type), |number| number as $type)?;)*};
    }
    fn of<T: Element>(store: &Store, name: &str, number: fn(u8) -> T) -> Result<()> {
        for (fortran, big) in [(false, false), (true, false), (false, true), (true, true)] {
            let places = if fortran {
                [0, 3, 1, 4, 2, 5]
            } else {
                [0, 1, 2, 3, 4, 5]
            };
            let swapped = big != cfg!(target_endian = "big");
            let elements = places.map(|place| match number(place) {
                element if swapped => element.swap_bytes(),
                element => element,
            });
            let mut description = Description::new(T::KIND, size_of::<T>() as u32, &[2, 3]);
            (description.fortran_order, description.big_endian) = (fortran, big);
            let memory = Blob::copy_from(bytes_of(&elements));
            let key = store.put(&AnyArray::new(description, memory)?)?;
            let order = if fortran { 'F' } else { 'C' };
            let bytes = if big { '>' } else { '<' };
            let reference = store.reference(&key)?.to_text();
            show(&format!("array-{name}-{bytes}{order} {reference}"));
        }
        Ok(())
    }
    of_each!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
    of::<[f32; 2]>(store, "c8", |number| [f32::from(number), -1.0])?;
    of::<[f64; 2]>(store, "c16", |number| [f64::from(number), -1.0])
}

/// Says what an object holds, so that its maker can compare.
fn get(line: &str) -> Result<()> {
    let (name, reference) = line.split_once(' ').unwrap_or((line, ""));
    let reference: Reference = reference.parse()?;
    let proxy: Proxy<Object> = Proxy::of_reference(reference);
    let held = match proxy.resolve()?.codec() {
        Codec::Bytes => {
            let bytes: Vec<u8> = read(&proxy)?;
            format!("bytes {} {}", bytes.len(), sum(&bytes))
        }
        Codec::Str => format!("str {}", read::<String>(&proxy)?),
        Codec::Ndarray => {
            let array: AnyArray = read(&proxy)?;
            let description = array.description();
            format!(
                "array {:?}{} {:?} {} {}",
                description.kind,
                8 * description.item_size,
                array.shape(),
                sum(array.memory()),
                proxy.store()?.put(&array)?, // put again, an array is what it was
            )
        }
        Codec::MessagePack => {
            let value: Value = read(&proxy)?;
            format!("tree {value:?} {}", proxy.store()?.put(&value)?)
        }
        Codec::Arrow => {
            let table: Table = read(&proxy)?;
            let key = match proxy.resolve()?.stream() {
                b"batch" => proxy.store()?.put(&read::<RecordBatch>(&proxy)?)?,
                _ => proxy.store()?.put(&table)?,
            };
            let fields = table.schema().fields();
            format!("table {} {} {key}", table.row_count(), fields.len())
        }
        _ => match read::<Value>(&proxy) {
            Err(error) if error.kind() == ErrorKind::WrongType => format!("error {error}"),
            other => format!("unexpected {other:?}"),
        },
    };
    show(&format!("{name} {held}"));
    Ok(())
}

fn read<T: Decode>(proxy: &Proxy<Object>) -> Result<T> {
    Ok(proxy.store()?.get(proxy.key())?.expect("resolved before"))
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[allow(clippy::print_stdout)] // its output is what it is for
fn show(line: &str) {
    println!("{line}");
}
