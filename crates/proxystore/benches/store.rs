//! Puts and gets beside the system calls and the copy that they are made of.
//!
//! `make bench-rust` runs this and writes the table. The place of the files is
//! `PROXYSTORE_BENCH_DIR`, or this machine's shared memory.

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::{Blob, Connector, Key, Store};
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SMALL: usize = 1_000;
const LARGE: usize = 100_000_000;

/// A directory that goes with this value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let parent = std::env::var_os("PROXYSTORE_BENCH_DIR").unwrap_or("/dev/shm".into());
        let path = Path::new(&parent).join(format!("bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the benchmark");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An object that is evicted when the clock has stopped: Criterion drops results untimed.
struct Stored<'a>(&'a Store, Key);

impl Drop for Stored<'_> {
    fn drop(&mut self) {
        self.0.evict(&self.1).expect("evicted");
    }
}

/// A file that is removed when the clock has stopped.
struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("removed");
    }
}

fn batch(len: usize) -> BatchSize {
    if len >= LARGE {
        BatchSize::PerIteration
    } else {
        // As a program that evicts what it has used: the pages of the objects before are warm.
        BatchSize::NumIterations(10)
    }
}

fn store_of(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, name: &str, bytes: &[u8]) {
    group.bench_function(format!("{name} put"), |bencher| {
        bencher.iter_batched(
            || (),
            |()| Stored(store, store.put(black_box(bytes)).expect("put")),
            batch(bytes.len()),
        );
    });
    let key = store.put(bytes).expect("put");
    group.bench_function(format!("{name} get"), |bencher| {
        bencher.iter_batched(
            || (),
            |()| store.get::<Blob>(black_box(&key)).expect("got"),
            batch(bytes.len()),
        );
    });
    assert_eq!(
        store.get::<Vec<u8>>(&key).expect("got").as_deref(),
        Some(bytes)
    );
    group.bench_function(format!("{name} view and sum"), |bencher| {
        bencher.iter(|| {
            let view = store.get_view::<[u8]>(black_box(&key)).expect("got");
            sum(&view.expect("an object"))
        });
    });
    store.evict(&key).expect("evicted");
}

/// Reads every byte, eight at a time.
fn sum(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_ne_bytes(*word));
    let tail = tail.iter().map(|byte| u64::from(*byte));
    words.chain(tail).fold(0, u64::wrapping_add)
}

fn bare_files(group: &mut BenchmarkGroup<'_, WallTime>, place: &Place, bytes: &[u8]) {
    let mut count = 0_u64;
    group.bench_function("bare open, write, close", |bencher| {
        bencher.iter_batched(
            || {
                count += 1;
                place.0.join(count.to_string())
            },
            |path| {
                let mut options = OpenOptions::new();
                let mut file = options
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .expect("made");
                file.write_all(black_box(bytes)).expect("written");
                Written(path)
            },
            batch(bytes.len()),
        );
    });
    let path = place.0.join("read");
    fs::write(&path, bytes).expect("written");
    let mut buffer = vec![0; bytes.len()];
    group.bench_function("bare open, read, close", |bencher| {
        bencher.iter(|| {
            let mut file = File::open(black_box(&path)).expect("opened");
            file.read_exact(&mut buffer).expect("read");
        });
    });
    fs::remove_file(path).expect("removed");
}

fn of_size(criterion: &mut Criterion, title: &str, len: usize) {
    let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
    let mut group = criterion.benchmark_group(title);
    group.throughput(Throughput::Bytes(len as u64));
    if len >= LARGE {
        group
            .sample_size(15)
            .measurement_time(Duration::from_secs(3));
    } else {
        group.measurement_time(Duration::from_secs(2));
    }
    group.warm_up_time(Duration::from_secs(1));

    let mut target = vec![1; len];
    group.bench_function("bare copy in memory", |bencher| {
        bencher.iter(|| target.copy_from_slice(black_box(&bytes)));
    });
    drop(target);
    group.bench_function("bare sum", |bencher| {
        bencher.iter(|| sum(black_box(&bytes)))
    });
    let place = Place::new(&len.to_string());
    bare_files(&mut group, &place, &bytes);

    let memory = Store::in_memory("memory");
    store_of(&mut group, &memory, "memory", &bytes);
    let connector = FileConnector::open(FileConfig::new(place.0.join("store"))).expect("a store");
    let connector: Arc<dyn Connector> = Arc::new(connector);
    store_of(&mut group, &Store::new("file", connector), "file", &bytes);
    group.finish();
}

fn small(criterion: &mut Criterion) {
    of_size(criterion, "1 kB", SMALL);
}

fn large(criterion: &mut Criterion) {
    of_size(criterion, "100 MB", LARGE);
}

criterion_group!(benches, small, large);
criterion_main!(benches);
