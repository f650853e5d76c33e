//! What does not fit in shared memory goes to disk, and is found there.

use crate::places::{Places, names, user_directory};
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Payload};

const MEGABYTE: usize = 1 << 20;

fn limited(places: &Places, limit: usize) -> SharedMemoryConnector {
    SharedMemoryConnector::create(SharedMemoryConfig {
        limit: Some(limit as u64),
        ..places.config()
    })
    .unwrap()
}

#[test]
fn beyond_the_limit_objects_go_to_disk() {
    let places = Places::new();
    let connector = limited(&places, 2 * MEGABYTE);
    let early = SharedMemoryConnector::join(connector.session()).unwrap();
    let keys: Vec<_> = (0..5_u8)
        .map(|mark| connector.put_bytes(&vec![mark; MEGABYTE]).unwrap())
        .collect();
    let usage = connector.usage();
    assert_eq!(usage.used, 2 * MEGABYTE as u64);
    assert_eq!(usage.spilled, 3 * MEGABYTE as u64);
    let late = SharedMemoryConnector::join(connector.session()).unwrap();
    for reader in [&connector, &early, &late] {
        for (mark, key) in keys.iter().enumerate() {
            let bytes = reader.get(key, Access::Auto).unwrap().unwrap();
            assert!(bytes.iter().all(|byte| usize::from(*byte) == mark));
            assert!(reader.exists(key).unwrap());
        }
    }
    early.evict_batch(&keys).unwrap();
    let usage = connector.usage();
    assert_eq!((usage.used, usage.spilled), (0, 0));
    assert!(!late.exists(&keys[4]).unwrap());
}

#[test]
fn a_set_moves_between_memory_and_disk() {
    let places = Places::new();
    let connector = limited(&places, 2 * MEGABYTE);
    let reader = SharedMemoryConnector::join(connector.session()).unwrap();
    let key = connector.new_key();
    for (round, len) in [MEGABYTE, 5 * MEGABYTE, 100, 6 * MEGABYTE, 0, 4 * MEGABYTE]
        .into_iter()
        .enumerate()
    {
        let bytes = vec![round as u8; len];
        connector.set(&key, &Payload::from_bytes(&bytes)).unwrap();
        assert!(reader.get_vec(&key).unwrap().unwrap() == bytes);
    }
    let usage = connector.usage();
    assert_eq!((usage.used, usage.spilled), (0, 4 * MEGABYTE as u64));
    connector.close(true).unwrap();
    let usage = connector.usage();
    assert_eq!((usage.used, usage.spilled), (0, 0));
    assert!(!reader.exists(&key).unwrap());
}

#[test]
fn a_reader_never_misses_an_object_that_moves() {
    let places = Places::new();
    let connector = limited(&places, MEGABYTE);
    let reader = SharedMemoryConnector::join(connector.session()).unwrap();
    let key = connector.new_key();
    connector.set(&key, &Payload::from_bytes(b"x")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let large = vec![7; 2 * MEGABYTE];
            for _ in 0..200 {
                connector.set(&key, &Payload::from_bytes(&large)).unwrap();
                connector.set(&key, &Payload::from_bytes(b"x")).unwrap();
            }
        });
        for _ in 0..2000 {
            assert!(reader.get(&key, Access::Auto).unwrap().is_some());
        }
    });
}

#[test]
fn with_nowhere_to_spill_full_is_an_error() {
    let places = Places::new();
    let connector = SharedMemoryConnector::create(SharedMemoryConfig {
        limit: Some(MEGABYTE as u64),
        spill_dir: Some("".into()),
        ..places.config()
    })
    .unwrap();
    let key = connector.put_bytes(&vec![1; MEGABYTE]).unwrap();
    let error = connector.put_bytes(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    for word in ["PROXYSTORE_SHM_LIMIT", "PROXYSTORE_SPILL_DIR"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let batch = [Payload::from_bytes(b"x"), Payload::from_bytes(b"y")];
    connector.evict(&key).unwrap();
    let half = connector.put_bytes(&vec![1; MEGABYTE - 4096]).unwrap();
    assert!(connector.put_batch(&batch).is_err());
    assert_eq!(connector.usage().used, (MEGABYTE - 4096) as u64);
    connector.evict(&half).unwrap();
    connector.put_batch(&batch).unwrap();
}

#[test]
fn counters_that_a_crash_left_too_high_are_counted_anew() {
    let places = Places::new();
    let connector = limited(&places, MEGABYTE);
    let key = connector.put_bytes(&vec![1; MEGABYTE]).unwrap();
    // Removed without counting it out.
    let session = connector.session();
    let place = user_directory(&places.memory)
        .join(&session.name)
        .join(&session.place);
    std::fs::remove_file(place.join(key.as_str())).unwrap();
    assert_eq!(connector.usage().used, MEGABYTE as u64);
    connector.put_bytes(b"x").unwrap();
    assert_eq!(connector.usage().used, 4096);
    assert_eq!(connector.usage().spilled, 0);
}

#[test]
fn what_an_earlier_boot_spilled_is_swept_and_what_others_did_is_not() {
    let places = Places::new();
    let connector = limited(&places, 0);
    connector.put_bytes(b"x").unwrap();
    let root = user_directory(&places.disk);
    let [mine] = &names(&root)[..] else {
        panic!("one spilled session");
    };
    let (_, mark) = mine.split_once('.').unwrap();
    let (boot, _) = mark.rsplit_once('-').unwrap();
    let other = proxystore::Key::fresh();
    let earlier_boot = format!("{other}.000000000000-1f");
    let other_container = format!("{other}.{boot}-ffff");
    let orphan = format!("{other}.{mark}");
    for name in [
        &earlier_boot,
        &other_container,
        &orphan,
        &"notes".to_owned(),
    ] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    drop(places.connector());
    let mut left = names(&root);
    left.sort();
    let mut kept = vec![mine.clone(), other_container, "notes".to_owned()];
    kept.sort();
    assert_eq!(left, kept);
}
