//! Pages of evicted objects: when they are used again, and above all when not.

use crate::place::{Place, noise, with_frame};
use crate::role::{self, Role};
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::{Access, Connector, ConnectorExt, Key};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

const MEGABYTE: usize = 1 << 20;
const FOLDER: &str = ".proxystore-recycled";

/// The roles of this program's processes; `DIR` is where their objects are.
pub(crate) fn play(name: &str) {
    let dir = PathBuf::from(std::env::var("DIR").unwrap());
    let connector = FileConnector::open(FileConfig::new(&dir)).unwrap();
    let place = || Place(dir.clone());
    let key = || Key::new(&std::env::var("KEY").unwrap()).unwrap();
    match name {
        "recycled_holder" => {
            let blob = connector.get(&key(), Access::Auto).unwrap().unwrap();
            let first = blob.to_vec();
            role::say("holds");
            std::io::read_to_string(std::io::stdin()).unwrap();
            assert!(blob[..] == first[..], "another object's bytes");
        }
        "recycled_opener" => {
            let file = std::fs::File::open(dir.join(key().as_str())).unwrap();
            role::say("holds");
            std::io::read_to_string(std::io::stdin()).unwrap();
            drop(file);
        }
        "recycled_crowd" => crowd(&connector),
        "recycled_again" => {
            pages_of_evicted_objects_are_used_again_whatever_the_length(&place(), &connector);
        }
        "recycled_seen" => pages_that_somebody_can_see_are_left_alone(&place(), &connector),
        "recycled_forked" => pages_that_a_forked_child_sees_are_left_alone(&place(), &connector),
        "recycled_churn" => {
            role::say("begins");
            loop {
                for len in [700_000, 3 * MEGABYTE, 5 * MEGABYTE] {
                    let key = with_frame(&vec![5; len], |payload| connector.put(payload)).unwrap();
                    connector.evict(&key).unwrap();
                }
            }
        }
        "recycled_none" => {
            let key = connector.put_bytes(&noise(3 * MEGABYTE)).unwrap();
            connector.evict(&key).unwrap();
            assert_eq!(waiting(&dir).len(), 0);
        }
        "recycled_bounded" => {
            let keys = [0; 9].map(|_| connector.put_bytes(&noise(MEGABYTE)).unwrap());
            connector.evict_batch(&keys).unwrap();
            assert_eq!(waiting(&dir).len(), 5);
            let key = connector.put_bytes(&noise(6 * MEGABYTE)).unwrap();
            connector.evict(&key).unwrap();
            assert_eq!(
                waiting(&dir).len(),
                5,
                "what is larger than the bound is removed"
            );
        }
        "recycled_full" => {
            crate::mount::mount_memory(&dir, "size=16M,mode=700");
            let connector = FileConnector::open(FileConfig::new(&dir)).unwrap();
            for _ in 0..3 {
                let keys = [0; 2].map(|_| put(&connector, 6 * MEGABYTE));
                connector.evict_batch(&keys).unwrap();
                assert_eq!(waiting(&dir).len(), 2);
                // Another length: what waits makes room, and a full place is an error as ever.
                let key = put(&connector, 14 * MEGABYTE);
                assert!(is_sound(&connector, &key, 14 * MEGABYTE));
                connector.evict(&key).unwrap();
                // Grown beyond the space: half of it is there, and that is not SIGBUS.
                let bytes = noise(20 * MEGABYTE);
                let error = connector.put_bytes(&bytes).unwrap_err();
                assert_eq!(error.kind(), proxystore::ErrorKind::Full, "{error}");
                assert!(connector.keys().unwrap().is_empty());
                assert_eq!(waiting(&dir).len(), 0);
            }
        }
        other => panic!("no role {other:?}"),
    }
}

/// Puts, gets and evicts the same few keys and lengths as everybody else, at once.
fn crowd(connector: &FileConnector) {
    let mut random = u64::from(std::process::id());
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below
    };
    let keys = [0, 1, 2].map(|i| Key::new(&format!("crowd-{i}")).unwrap());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
    let (mut found, mut version) = (0, 0_u8);
    while std::time::Instant::now() < until {
        let which = next(keys.len());
        let key = &keys[which];
        match next(4) {
            0 => {
                version = version.wrapping_add(1);
                // The bytes tell the key, and are all the same in one version.
                let word = [
                    b'A' + which as u8,
                    version,
                    !version,
                    std::process::id() as u8,
                ];
                let len = [600_000, MEGABYTE, 2 * MEGABYTE + 4, 4 * MEGABYTE + 8][next(4)];
                connector
                    .set(key, &proxystore::Payload::from_bytes(&word.repeat(len / 4)))
                    .unwrap();
            }
            1 => connector.evict(key).unwrap(),
            _ => {
                let access = [Access::Auto, Access::Copy, Access::View][next(3)];
                let Some(blob) = connector.get(key, access).unwrap() else {
                    continue;
                };
                found += 1;
                for _ in 0..2 {
                    assert_eq!(blob[0], b'A' + which as u8, "another key's bytes");
                    assert_eq!(blob[1], !blob[2]);
                    let shifted = blob.len() - 4;
                    assert!(blob[..shifted] == blob[4..], "two objects' bytes");
                    std::thread::yield_now();
                }
            }
        }
    }
    assert!(found > 5, "only {found} objects were seen");
}

fn waiting(dir: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(dir.join(FOLDER)).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        },
    )
}

fn inode(place: &Place, key: &Key) -> u64 {
    std::fs::metadata(place.0.join(key.as_str())).unwrap().ino()
}

fn private_place() -> Place {
    let place = Place::in_memory();
    std::fs::set_permissions(&place.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    place
}

fn put(connector: &FileConnector, len: usize) -> Key {
    with_frame(&noise(len), |payload| connector.put(payload)).unwrap()
}

fn is_sound(connector: &FileConnector, key: &Key, len: usize) -> bool {
    let blob = connector.get(key, Access::Auto).unwrap().unwrap();
    with_frame(&noise(len), |payload| payload.to_vec()) == blob[..]
}

fn pages_of_evicted_objects_are_used_again_whatever_the_length(
    place: &Place,
    connector: &FileConnector,
) {
    let mut key = put(connector, 3 * MEGABYTE);
    let first = inode(place, &key);
    for len in [3, 5, 4, 6, 4, 3] {
        // Not whole pages, nor whole huge pages.
        for len in [len * MEGABYTE, len * MEGABYTE - 5000, len * MEGABYTE + 77] {
            connector.evict(&key).unwrap();
            assert!(!connector.exists(&key).unwrap());
            assert!(connector.get(&key, Access::Auto).unwrap().is_none());
            assert_eq!(waiting(&place.0).len(), 1);
            key = put(connector, len);
            assert_eq!(inode(place, &key), first);
            assert!(is_sound(connector, &key, len));
            assert_eq!(waiting(&place.0).len(), 0);
        }
    }
    connector.evict(&key).unwrap();
    // Of quite another length.
    for len in [MEGABYTE, 9 * MEGABYTE] {
        let other = put(connector, len);
        assert_ne!(inode(place, &other), first);
    }
    assert_eq!(waiting(&place.0).len(), 1);
    // A key that others know.
    let known = connector.new_key();
    with_frame(&noise(2 * MEGABYTE), |payload| {
        connector.set(&known, payload)
    })
    .unwrap();
    assert_eq!(inode(place, &known), first);
    assert!(is_sound(connector, &known, 2 * MEGABYTE));
}

fn pages_that_somebody_can_see_are_left_alone(place: &Place, connector: &FileConnector) {
    let dir = place.0.to_str().unwrap();
    let len = 5 * MEGABYTE;
    let connector_of = || place.connector();
    let key = put(&connector_of(), len);
    let expected = connector.get(&key, Access::Copy).unwrap().unwrap();
    for role in ["recycled_holder", "recycled_opener"] {
        let key = put(&connector_of(), len);
        let holder = Role::start(role, &[("DIR", dir), ("KEY", key.as_str())]);
        assert_eq!(holder.line(), "holds");
        let fresh = connector_of();
        let before = inode(place, &key);
        fresh.evict(&key).unwrap();
        let other = put(&fresh, len);
        assert_ne!(inode(place, &other), before, "{role}");
        holder.end();
        // Now nobody sees them.
        let third = put(&fresh, len);
        assert_eq!(inode(place, &third), before, "{role}");
        fresh.evict_batch(&[other, third]).unwrap();
        fresh.close(false).unwrap();
        assert_eq!(waiting(&place.0).len(), 0);
    }
    // This process itself, by each kind of access that maps; by a slice; by a duplicate.
    for access in [Access::Auto, Access::View] {
        let fresh = connector_of();
        let key = put(&fresh, len);
        let before = inode(place, &key);
        let whole = fresh.get(&key, access).unwrap().unwrap();
        let slice = whole.slice(100..200);
        drop(whole);
        fresh.evict(&key).unwrap();
        let other = put(&fresh, len);
        assert_ne!(inode(place, &other), before, "{access:?}");
        assert!(slice[..] == expected[100..200]);
    }
    let fresh = connector_of();
    let key = put(&fresh, len);
    let before = inode(place, &key);
    let file = std::fs::File::open(place.0.join(key.as_str())).unwrap();
    // SAFETY: a duplicate that is closed below.
    let duplicate = unsafe { libc::dup(file.as_raw_fd()) };
    drop(file);
    fresh.evict(&key).unwrap();
    assert_ne!(inode(place, &put(&fresh, len)), before);
    // SAFETY: made above.
    unsafe { libc::close(duplicate) };
    assert_eq!(inode(place, &put(&fresh, len)), before);
}

fn pages_that_a_forked_child_sees_are_left_alone(place: &Place, connector: &FileConnector) {
    let key = put(connector, 5 * MEGABYTE);
    let before = inode(place, &key);
    let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: the child reads and ends; it touches nothing of the other threads'.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let sum = |blob: &[u8]| blob.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let first = sum(&blob);
        // SAFETY: waits for the parent to close its end, then ends without the test program's own
        // endings.
        unsafe {
            libc::close(pipe[1]);
            libc::read(pipe[0], [0_u8; 1].as_mut_ptr().cast(), 1);
            libc::_exit(i32::from(sum(&blob) != first));
        }
    }
    drop(blob);
    connector.evict(&key).unwrap();
    let other = with_frame(&vec![1; 5 * MEGABYTE], |payload| connector.put(payload)).unwrap();
    assert_ne!(inode(place, &other), before);
    let mut status = 0;
    // SAFETY: our own descriptors and child.
    unsafe {
        libc::close(pipe[1]);
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        libc::close(pipe[0]);
    }
    assert_eq!(status, 0, "the child saw another object's bytes");
    let third = put(connector, 5 * MEGABYTE);
    assert_eq!(inode(place, &third), before);
}

#[test]
fn what_others_may_reach_is_removed_instead() {
    // Another name of the file.
    let place = private_place();
    let connector = place.connector();
    let key = put(&connector, 3 * MEGABYTE);
    let link = place.0.join("my own link");
    std::fs::hard_link(place.0.join(key.as_str()), &link).unwrap();
    let before = std::fs::read(&link).unwrap();
    connector.evict(&key).unwrap();
    assert_eq!(waiting(&place.0).len(), 0);
    put(&connector, 3 * MEGABYTE - 9);
    assert!(std::fs::read(&link).unwrap() == before);
    // A directory that others can look into, and one on a disk.
    let shared = Place::in_memory();
    std::fs::set_permissions(&shared.0, std::fs::Permissions::from_mode(0o750)).unwrap();
    let disk = Place::on_disk();
    std::fs::set_permissions(&disk.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    for place in [shared, disk] {
        let connector = place.connector();
        let key = put(&connector, 3 * MEGABYTE);
        connector.evict(&key).unwrap();
        assert!(!place.0.join(FOLDER).exists());
    }
}

#[test]
fn what_waits_is_bounded_and_goes_with_the_connector() {
    for (role, limit) in [("recycled_none", "0"), ("recycled_bounded", "5500000")] {
        let place = private_place();
        let dir = place.0.to_str().unwrap();
        let limit = ("PROXYSTORE_RECYCLED_BYTES", limit);
        Role::start(role, &[("DIR", dir), limit]).end();
        assert_eq!(waiting(&place.0).len(), 0, "the role's connector is gone");
    }
    let place = private_place();
    let connector = place.connector();
    let keys = [0; 70].map(|_| put(&connector, 600_000));
    connector.evict_batch(&keys).unwrap();
    assert_eq!(waiting(&place.0).len(), 64);
    connector.close(false).unwrap();
    assert_eq!(waiting(&place.0).len(), 0);
    let connector = place.connector();
    let key = put(&connector, 600_000);
    connector.evict(&key).unwrap();
    connector.close(true).unwrap();
    assert!(!place.0.exists());
}

#[test]
fn what_waits_makes_room_in_a_full_place() {
    let place = private_place();
    let dir = place.0.to_str().unwrap();
    let limit = ("PROXYSTORE_RECYCLED_BYTES", "100000000");
    Role::start("recycled_full", &[("DIR", dir), limit]).end();
}

#[test]
fn who_dies_over_a_file_leaves_what_others_find() {
    let place = private_place();
    for pause in 0..8 {
        let mut churn = Role::start("recycled_churn", &[("DIR", place.0.to_str().unwrap())]);
        assert_eq!(churn.line(), "begins");
        std::thread::sleep(std::time::Duration::from_micros(10_000 + 1900 * pause));
        churn.kill();
        let connector = place.connector();
        for name in place.names() {
            let key = Key::new(&name).unwrap();
            let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
            let frame = proxystore::frame::Frame::parse(&blob).unwrap();
            assert!(frame.buffer(1).iter().all(|byte| *byte == 5));
            connector.evict(&key).unwrap();
        }
        connector.close(false).unwrap();
        assert_eq!(waiting(&place.0).len(), 0);
    }
}

/// Each in a process of its own: a child that another trial starts has, until it begins, a share in
/// every open file.
#[test]
fn pages_are_used_again_unless_somebody_sees_them() {
    for role in ["recycled_again", "recycled_seen", "recycled_forked"] {
        let place = private_place();
        Role::start(role, &[("DIR", place.0.to_str().unwrap())]).end();
    }
}

/// Bytes of an object that a mapping sees in huge pages.
fn in_huge_pages(connector: &FileConnector, key: &Key) -> u64 {
    let blob = connector.get(key, Access::View).unwrap().unwrap();
    assert!(
        blob.iter()
            .step_by(4096)
            .map(|byte| u64::from(*byte))
            .sum::<u64>()
            > 0
    );
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (_, this) = maps
        .split_once(key.as_str())
        .expect("a mapping of the file");
    let (_, from) = this
        .split_once("ShmemPmdMapped:")
        .expect("a kernel that tells");
    from.split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// Who made them found none, or did not ask; nobody has to live with that.
#[test]
fn small_pages_that_are_used_again_are_joined() {
    let place = private_place();
    let connector = place.connector();
    let len = 16 * MEGABYTE;
    let fresh = put(&connector, len);
    let as_new = in_huge_pages(&connector, &fresh);

    let small = connector.new_key();
    let bytes = with_frame(&noise(len), |payload| vec![1; payload.len()]);
    std::fs::write(place.0.join(small.as_str()), bytes).unwrap();
    let before = inode(&place, &small);
    connector.evict(&small).unwrap();
    let again = put(&connector, len);
    assert_eq!(inode(&place, &again), before);
    assert!(is_sound(&connector, &again, len));
    // Where the kernel joins none, new ones are small, too.
    assert_eq!(in_huge_pages(&connector, &again), as_new);
}

#[test]
fn nobody_sees_the_bytes_of_another_key() {
    let place = private_place();
    let dir = place.0.to_str().unwrap();
    let crowd = [0; 4].map(|_| Role::start("recycled_crowd", &[("DIR", dir)]));
    crowd.into_iter().for_each(Role::end);
}
