//! `bench`: put and get on this machine, beside a copy in memory.

use crate::output::{Output, human, table};
use crate::{Done, Failure};
use proxystore::{Blob, Store};
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each figure is measured, at least three times.
const ABOUT: Duration = Duration::from_millis(300);

pub(crate) fn run(url: &str, sizes: &[u64], output: &Output) -> Done {
    let store = Store::open("bench", url)?;
    let mut rows = vec![
        ["SIZE", "COPY", "PUT", "GET", "GET, VIEWED"]
            .map(String::from)
            .to_vec(),
    ];
    let mut documents = Vec::new();
    for size in sizes {
        let bytes = vec![7_u8; usize::try_from(*size)?];
        let mut target = vec![0_u8; bytes.len()];
        let copy = median(|| {
            target.copy_from_slice(black_box(&bytes));
            black_box(&target);
            Ok(())
        })?;
        let mut keys = Vec::new();
        let put = median(|| {
            keys.push(store.put(&bytes)?);
            // What is kept must not fill the place.
            if keys.len() > 8 {
                store.evict(&keys.remove(0))?;
            }
            Ok(())
        })?;
        let key = store.put(&bytes)?;
        let get = median(|| {
            black_box(store.get::<Blob>(&key)?);
            Ok(())
        })?;
        let view = median(|| {
            black_box(store.get_view::<[u8]>(&key)?);
            Ok(())
        })?;
        keys.push(key);
        store.evict_batch(&keys)?;
        let nanoseconds = |time: Duration| time.as_nanos() as u64;
        documents.push(json!({
            "bytes": size,
            "copy_ns": nanoseconds(copy),
            "put_ns": nanoseconds(put),
            "get_ns": nanoseconds(get),
            "view_ns": nanoseconds(view),
        }));
        let cells = [copy, put, get, view].map(|time| format!("{time:.1?}"));
        rows.push([vec![human(*size)], cells.to_vec()].concat());
    }
    let place = store.connector().to_string();
    store.close(false)?;
    output.show(
        &json!({ "place": place, "figures": documents }),
        &table(&rows),
    )
}

/// The median time of a call.
fn median(mut call: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < 3 || begun.elapsed() < ABOUT {
        let one = Instant::now();
        call()?;
        times.push(one.elapsed());
        if times.len() >= 100_000 {
            break;
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
