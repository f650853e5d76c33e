//! The file connector on real directories: what is published, what is read, what goes wrong.

// Trials are tests wherever they stand in this program.
#![allow(clippy::unwrap_used)]

mod limits;
mod mount;
mod place;
mod recycled;
mod role;

use place::{Place, noise, with_frame};
use proxystore::connectors::file::{FileConfig, FileConnector, FileSystem};
use proxystore::frame::Frame;
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const EVERY_ACCESS: [Access; 4] = [Access::Auto, Access::Copy, Access::Cow, Access::View];
/// Both sides of every threshold.
const LENGTHS: [usize; 13] = [
    0,
    1,
    100,
    (16 << 10) - 1,
    16 << 10,
    (16 << 10) + 1,
    (64 << 10) - 1,
    64 << 10,
    1 << 20,
    (4 << 20) - 1,
    4 << 20,
    (4 << 20) + 12_345,
    11 << 20,
];

/// The other side of the trials that start processes; nothing by itself.
#[test]
fn plays_its_role() {
    if let Some(name) = role::current() {
        match name.strip_prefix("recycled_") {
            Some(_) => recycled::play(&name),
            None => limits::play(&name),
        }
    }
}

#[test]
fn every_length_comes_back_with_every_access() {
    for place in Place::each() {
        let connector = place.connector();
        for len in LENGTHS {
            let bytes = noise(len);
            let raw = connector.put_bytes(&bytes).unwrap();
            let framed = with_frame(&bytes, |payload| connector.put(payload).unwrap());
            let set = connector.new_key();
            assert!(!connector.exists(&set).unwrap());
            with_frame(&bytes, |payload| connector.set(&set, payload).unwrap());
            for access in EVERY_ACCESS {
                let blob = connector.get(&raw, access).unwrap().unwrap();
                assert!(blob[..] == bytes[..], "{len} bytes, {access:?}");
                assert_eq!(blob.as_ptr() as usize % 64, 0);
                assert!(blob.is_writable() || access == Access::View);
                for key in [&framed, &set] {
                    let blob = connector.get(key, access).unwrap().unwrap();
                    let frame = Frame::parse(&blob).unwrap();
                    let joined = [frame.buffer(0), frame.buffer(1)].concat();
                    assert!(joined == bytes, "{len} bytes, {access:?}");
                }
            }
            connector.evict_batch(&[raw, framed, set]).unwrap();
            assert!(place.names().is_empty());
        }
    }
}

#[test]
fn the_kind_of_file_system_is_seen() {
    let [memory, disk] = Place::each();
    assert_eq!(memory.connector().file_system(), FileSystem::Memory);
    assert_eq!(disk.connector().file_system(), FileSystem::Disk);
    assert!(memory.connector().is_quick(256 << 10));
    assert!(!memory.connector().is_quick((256 << 10) + 1));
}

#[test]
fn writing_into_a_blob_changes_it_alone() {
    for place in Place::each() {
        let connector = place.connector();
        for len in [100, 100_000, 9 << 20] {
            let bytes = noise(len);
            let key = connector.put_bytes(&bytes).unwrap();
            for access in [Access::Auto, Access::Copy, Access::Cow] {
                let blob = connector.get(&key, access).unwrap().unwrap();
                // SAFETY: writable, and nobody else has this blob.
                unsafe {
                    blob.as_ptr().write(!bytes[0]);
                    blob.as_ptr().add(len - 1).write(!bytes[len - 1]);
                }
                assert_eq!(blob[0], !bytes[0]);
            }
            assert!(connector.get_vec(&key).unwrap().unwrap() == bytes);
        }
    }
}

#[test]
fn a_set_replaces_and_earlier_blobs_stay() {
    for place in Place::each() {
        let connector = place.connector();
        for len in [10, 9 << 20] {
            let key = connector.new_key();
            let set = |mark: u8| connector.set(&key, &Payload::from_bytes(&vec![mark; len]));
            set(1).unwrap();
            let before = connector.get(&key, Access::Cow).unwrap().unwrap();
            set(2).unwrap();
            let after = connector.get(&key, Access::Cow).unwrap().unwrap();
            connector.evict(&key).unwrap();
            connector.evict(&key).unwrap();
            assert!(before.iter().all(|byte| *byte == 1));
            assert!(after.iter().all(|byte| *byte == 2));
            assert!(connector.get(&key, Access::Auto).unwrap().is_none());
        }
        assert!(place.names().is_empty());
    }
}

#[test]
fn sets_at_once_leave_one_value_whole() {
    for place in Place::each() {
        let connector = place.connector();
        let key = connector.new_key();
        std::thread::scope(|scope| {
            for mark in 1..=4_u8 {
                let (connector, key) = (&connector, &key);
                scope.spawn(move || {
                    for len in [100, 100_000, 5 << 20] {
                        let bytes = vec![mark; len];
                        connector.set(key, &Payload::from_bytes(&bytes)).unwrap();
                        let seen = connector.get(key, Access::Auto).unwrap().unwrap();
                        assert!(seen.iter().all(|byte| *byte == seen[0]));
                    }
                });
            }
        });
        assert_eq!(place.names(), [key.to_string()]);
    }
}

#[test]
fn close_removes_what_is_ours_and_nothing_else() {
    for place in Place::each() {
        let inner = place.0.join("objects");
        let connector = FileConnector::open(FileConfig::new(&inner)).unwrap();
        let mode = inner.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        connector.put_bytes(b"unframed").unwrap();
        let named = Key::new("results of tuesday").unwrap();
        with_frame(b"framed", |payload| connector.set(&named, payload).unwrap());
        std::fs::write(inner.join("notes.txt"), "the user's own").unwrap();
        std::fs::create_dir(inner.join("abcdefghjkmnpqrstvwxyz0123")).unwrap();
        connector.close(true).unwrap();
        connector.close(true).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&inner)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["abcdefghjkmnpqrstvwxyz0123", "notes.txt"]);
        let late = connector.put_bytes(b"late").unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Closed);

        std::fs::remove_dir_all(&inner).unwrap();
        let connector = FileConnector::open(FileConfig::new(&inner)).unwrap();
        let key = connector.put_bytes(b"kept").unwrap();
        connector.close(false).unwrap();
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"kept");
        connector.close(true).unwrap();
        assert!(!inner.exists());
        connector.close(true).unwrap();
    }
}

#[test]
fn a_directory_that_was_removed_is_made_again() {
    for place in Place::each() {
        let (first, second) = (place.connector(), place.connector());
        let key = first.put_bytes(b"x").unwrap();
        second.close(true).unwrap();
        assert!(!place.0.exists());
        assert!(!first.exists(&key).unwrap());
        for len in [10, 100_000] {
            let key = first.put_bytes(&noise(len)).unwrap();
            assert!(place.connector().exists(&key).unwrap());
            // And one who only reads finds the new directory.
            assert!(second.exists(&key).unwrap());
            std::fs::remove_dir_all(&place.0).unwrap();
        }
    }
}

#[test]
fn links_planted_in_the_directory_are_not_followed() {
    for place in Place::each() {
        let secret = place.0.join("secret");
        std::fs::write(&secret, "untouched").unwrap();
        let connector = place.connector();
        let key = connector.new_key();
        symlink(&secret, place.0.join(key.as_str())).unwrap();
        assert!(connector.get(&key, Access::Auto).is_err());
        connector
            .set(&key, &Payload::from_bytes(b"object"))
            .unwrap();
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "untouched");
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"object");
    }
}

#[test]
fn a_pipe_in_the_directory_does_not_make_a_reader_wait() {
    let place = Place::in_memory();
    let path = place.0.join("pipe");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `name` ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let key = Key::new("pipe").unwrap();
    assert!(place.connector().get(&key, Access::Copy).is_err());
}

#[test]
fn names_of_temporary_files_are_no_keys() {
    let place = Place::in_memory();
    let key = Key::new(".proxystore-x").unwrap();
    let refused = place.connector().set(&key, &Payload::from_bytes(b""));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidKey);
}

#[test]
fn files_are_for_those_whom_the_directory_lets_in() {
    for (directory, file) in [(0o700, 0o600), (0o755, 0o644), (0o750, 0o640)] {
        for place in Place::each() {
            std::fs::set_permissions(&place.0, PermissionsExt::from_mode(directory)).unwrap();
            let connector = place.connector();
            for len in [10, 100_000] {
                let key = connector.put_bytes(&noise(len)).unwrap();
                let mode = place.0.join(key.as_str()).metadata().unwrap().mode();
                assert_eq!(mode & 0o777, file);
            }
        }
    }
}

#[test]
fn a_path_that_cannot_be_a_directory_is_named() {
    let place = Place::in_memory();
    let file = place.0.join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = FileConnector::open(FileConfig::new(&path)).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
    let error = FileConnector::open(FileConfig::new("")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
}

#[test]
fn a_quick_get_declines_long_reads_only() {
    for place in Place::each() {
        let connector = place.connector();
        let [small, middle, large] =
            [100, 600_000, 9 << 20].map(|len| connector.put_bytes(&noise(len)).unwrap());
        let quick = |key: &Key, access| connector.get_quick(key, access).unwrap();
        assert_eq!(quick(&small, Access::Auto).unwrap().unwrap().len(), 100);
        assert!(quick(&middle, Access::Auto).is_none());
        assert_eq!(
            quick(&middle, Access::View).unwrap().unwrap().len(),
            600_000
        );
        assert_eq!(quick(&large, Access::Auto).unwrap().unwrap().len(), 9 << 20);
        assert!(quick(&large, Access::Copy).is_none());
        assert!(quick(&connector.new_key(), Access::Auto).unwrap().is_none());
    }
}

#[test]
fn objects_of_the_first_generation_are_read_and_removed() {
    for place in Place::each() {
        let connector = place.connector();
        let names = [
            "14ad72df-5623-448e-a51a-61a9a0fd21b5",
            "47c21bf1-cdb6-4b7f-ae86-5f3f54de4ba8",
        ];
        for name in names {
            std::fs::write(place.0.join(name), "PK\nold").unwrap();
            std::fs::write(place.0.join(format!("{name}.ready")), "").unwrap();
        }
        let [first, second] = names.map(|name| Key::new(name).unwrap());
        assert_eq!(connector.get_vec(&first).unwrap().unwrap(), b"PK\nold");
        connector.evict(&first).unwrap();
        assert_eq!(place.names().len(), 2);
        assert!(connector.exists(&second).unwrap());
        connector.close(true).unwrap();
        assert!(!place.0.exists());
    }
}
