use super::*;
use std::path::Path;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("endpoint-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config() -> StorageConfig {
    StorageConfig {
        database: None,
        spill: None,
        memory_limit: 1 << 20,
        max_object_size: Some(10_000_000),
    }
}

fn object(seed: u8, len: usize) -> Object {
    let bytes: Vec<u8> = (0..len)
        .map(|at| (at as u8).wrapping_mul(31) ^ seed)
        .collect();
    Object::copy_from(&bytes).unwrap()
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn memory_alone_says_when_it_is_full() {
    let storage = Storage::open(config()).unwrap();
    storage.put("a", object(1, 600_000)).unwrap();
    let error = storage.put("b", object(2, 600_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(!storage.exists("b"));
    assert_eq!(storage.usage().in_memory, 600_000);
    storage.evict("a").unwrap();
    storage.put("b", object(2, 600_000)).unwrap();
    assert_eq!(storage.get("b").unwrap().unwrap().len(), 600_000);
}

#[test]
fn what_does_not_fit_goes_to_the_disk_and_comes_back() {
    let scratch = Scratch::new("spill");
    let spill = scratch.0.join("spill");
    let config = StorageConfig {
        spill: Some(spill.clone()),
        ..config()
    };
    let storage = Storage::open(config.clone()).unwrap();
    for seed in 0..10 {
        storage
            .put(&format!("k{seed}"), object(seed, 300_000))
            .unwrap();
    }
    assert!(storage.usage().in_memory <= 1 << 20);
    assert_eq!(storage.usage().bytes, 3_000_000);
    assert!(files(&spill) >= 7);
    assert!(storage.get_in_memory("k0").is_none());
    for seed in 0..10 {
        let found = storage.get(&format!("k{seed}")).unwrap().unwrap();
        assert_eq!(found.as_slice(), object(seed, 300_000).as_slice());
    }
    storage.put("k0", object(9, 2_000_000)).unwrap(); // larger than all of memory
    assert_eq!(storage.get("k0").unwrap().unwrap().len(), 2_000_000);
    assert_eq!(storage.keys("", 100).len(), 10);
    assert_eq!(storage.keys("k7", 100), ["k8", "k9"]);
    storage.clear().unwrap();
    assert_eq!(storage.usage(), Usage::default());
    assert_eq!(files(&spill), 0);
    storage.put("x", object(1, 3_000_000)).unwrap();
    drop(storage);
    // What was spilled is nobody's after a restart.
    assert_eq!(Storage::open(config).unwrap().usage(), Usage::default());
    assert_eq!(files(&spill), 0);
}

#[test]
fn what_persists_is_there_again() {
    let scratch = Scratch::new("persist");
    let config = StorageConfig {
        database: Some(scratch.0.join("blobs.db")),
        ..config()
    };
    let sizes = [0, 1, IN_DATABASE, IN_DATABASE + 1, 3_000_000];
    {
        let storage = Storage::open(config.clone()).unwrap();
        for (seed, len) in sizes.into_iter().enumerate() {
            storage
                .put(&len.to_string(), object(seed as u8 + 1, len))
                .unwrap();
            storage
                .put(&len.to_string(), object(seed as u8, len))
                .unwrap();
        }
        storage.put("gone", object(0, 100_000)).unwrap();
        storage.evict("gone").unwrap();
    }
    std::fs::write(scratch.0.join("blobs.objects/00000000000000ff"), b"half").unwrap();
    let storage = Storage::open(config).unwrap();
    assert_eq!(storage.usage().objects, sizes.len() as u64);
    assert_eq!(files(&scratch.0.join("blobs.objects")), 2);
    for (seed, len) in sizes.into_iter().enumerate() {
        let found = storage.get(&len.to_string()).unwrap().unwrap();
        assert_eq!(found.as_slice(), object(seed as u8, len).as_slice());
    }
    assert!(!storage.exists("gone"));
    storage.clear().unwrap();
    assert_eq!(files(&scratch.0.join("blobs.objects")), 0);
}

#[test]
fn many_threads_put_and_get() {
    let scratch = Scratch::new("threads");
    let storage = Storage::open(StorageConfig {
        spill: Some(scratch.0.join("spill")),
        ..config()
    })
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let storage = &storage;
            scope.spawn(move || {
                for round in 0..50_u8 {
                    let key = format!("k{}", round % 5);
                    let len = 100_000 + usize::from(round) * 1000;
                    storage.put(&key, object(thread, len)).unwrap();
                    if let Some(found) = storage.get(&key).unwrap() {
                        let first = found.as_slice()[0];
                        assert_eq!(found.as_slice(), object(first, found.len()).as_slice());
                    }
                }
            });
        }
    });
    storage.clear().unwrap();
    assert_eq!(storage.usage(), Usage::default());
    assert_eq!(files(&scratch.0.join("spill")), 0);
}

#[test]
fn the_limit_is_told_before_the_upload() {
    let storage = Storage::open(config()).unwrap();
    assert!(storage.check(10_000_000).is_ok());
    let error = storage.check(10_000_001).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("10000001"), "{error}");
}
