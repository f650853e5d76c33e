//! What does not fit in shared memory goes to disk, and is found there.

use crate::mount::mount_memory;
use crate::places::{Places, names, user_directory};
use crate::role::Role;
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Payload};
use std::path::Path;

const MEGABYTE: usize = 1 << 20;

/// The roles of this program's processes, in a container's conditions.
pub(crate) fn play(name: &str) {
    let open = || SharedMemoryConnector::create(SharedMemoryConfig::default()).unwrap();
    let shm = Path::new("/dev/shm");
    let large = vec![1; 9 * MEGABYTE];
    match name {
        "small_shared_memory" => {
            mount_memory(shm, "size=8M,mode=1777");
            let connector = open();
            let usage = connector.usage();
            assert!(usage.limit > 0 && usage.limit <= 4 * MEGABYTE as u64);
            let key = connector.put_bytes(&large).unwrap();
            assert!(connector.get_vec(&key).unwrap().unwrap() == large);
            assert_eq!(connector.usage().spilled, 9 * MEGABYTE as u64);
            // Another program takes the rest: still no error.
            std::fs::write(shm.join("others"), vec![0; 9 * MEGABYTE]).unwrap_err();
            for len in [100, 100_000, 3 * MEGABYTE] {
                let key = connector.put_bytes(&large[..len]).unwrap();
                assert_eq!(connector.get_vec(&key).unwrap().unwrap().len(), len);
            }
            assert_eq!(connector.usage().used, 0);
            // Nor is it one for a program that begins now.
            std::fs::remove_dir_all(user_directory(shm)).unwrap();
            std::fs::write(shm.join("more"), vec![0; MEGABYTE]).unwrap_err();
            let session = open().session().clone();
            assert_ne!(session.dir, shm);
        }
        "no_shared_memory" => {
            mount_memory(shm, "size=8M,ro");
            let connector = open();
            assert_ne!(connector.session().dir, shm);
            let key = connector.put_bytes(&large).unwrap();
            let other = SharedMemoryConnector::join(connector.session()).unwrap();
            assert!(other.get_vec(&key).unwrap().unwrap() == large);
        }
        other => panic!("no role {other:?}"),
    }
}

fn limited(places: &Places, limit: usize) -> SharedMemoryConnector {
    SharedMemoryConnector::create(places.config().limit(limit as u64)).unwrap()
}

#[test]
fn pages_of_evicted_objects_count_and_go_before_anything_is_spilled() {
    let places = Places::new();
    let (one, other) = (
        limited(&places, 10 * MEGABYTE),
        limited(&places, 10 * MEGABYTE),
    );
    let put = |connector: &SharedMemoryConnector, megabytes| {
        connector.put_bytes(&vec![3; megabytes * MEGABYTE]).unwrap()
    };
    let keys = [0; 2].map(|_| put(&one, 4));
    one.evict_batch(&keys).unwrap();
    let usage = other.usage();
    assert_eq!(usage.used, 0);
    assert_eq!(usage.recycled, 8 * MEGABYTE as u64);
    // Of the same length: nothing new.
    let key = put(&one, 4);
    assert_eq!(one.usage().recycled, 4 * MEGABYTE as u64);
    assert_eq!(one.usage().used, 4 * MEGABYTE as u64);
    one.evict(&key).unwrap();
    // Of another length, and by another connector: there is no room for both.
    let key = put(&other, 9);
    let usage = other.usage();
    assert_eq!((usage.spilled, usage.recycled), (0, 0));
    assert_eq!(usage.used, 9 * MEGABYTE as u64);
    assert!(other.get_vec(&key).unwrap().unwrap() == vec![3; 9 * MEGABYTE]);
    other.evict(&key).unwrap();
    assert_eq!(other.usage().recycled, 9 * MEGABYTE as u64);
    other.close(false).unwrap();
    assert_eq!(one.usage().recycled, 0);
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
    let connector =
        SharedMemoryConnector::create(places.config().limit(MEGABYTE as u64).spill_dir(""))
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

/// As in a container that was started without thought for its shared memory.
#[test]
fn small_or_missing_shared_memory_is_made_up_for_by_the_disk() {
    for role in ["small_shared_memory", "no_shared_memory"] {
        let places = Places::new();
        Role::start(role, &[("TMPDIR", places.disk.to_str().unwrap())]).end();
        assert_eq!(places.names().1, Vec::<String>::new());
    }
}
