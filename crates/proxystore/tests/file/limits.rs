//! Limits of the system, and neighbours that do harm: each in a process of its own.

use crate::mount::mount_memory;
use crate::place::{Place, noise, with_frame};
use crate::role::{self, Role};
use proxystore::connectors::file::{FileConfig, FileConnector};
use proxystore::frame::{Frame, HEADER_LEN};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const LARGE: usize = 64 << 20;

/// The roles of this program's processes; `DIR` is where their objects are.
pub(crate) fn play(name: &str) {
    let dir = PathBuf::from(std::env::var("DIR").unwrap());
    let open = || FileConnector::open(FileConfig::new(&dir)).unwrap();
    match name {
        "putter" => {
            let connector = open();
            role::say("begins");
            // No zeros: a file that was sized and not filled would show.
            let (small, large) = (vec![5; 60_000], vec![5; 7 << 20]);
            loop {
                with_frame(&small, |payload| connector.put(payload).unwrap());
                with_frame(&large, |payload| connector.put(payload).unwrap());
                let key = connector.new_key();
                with_frame(&small, |payload| connector.set(&key, payload).unwrap());
            }
        }
        "little_data" => {
            let key = Key::new(&std::env::var("KEY").unwrap()).unwrap();
            limit(libc::RLIMIT_DATA, 32 << 20);
            for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
                let blob = open().get(&key, access).unwrap().unwrap();
                // Nothing private of this length can be had, but it can be read all the same.
                assert!(!blob.is_writable());
                assert!(blob.len() == LARGE && blob.chunks(1024).all(|part| part == [9; 1024]));
            }
        }
        "little_address_space" => {
            let key = Key::new(&std::env::var("KEY").unwrap()).unwrap();
            let connector = open();
            // What the program has already, and not half of the object more.
            let statistics = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = statistics.split(' ').next().unwrap().parse().unwrap();
            limit(libc::RLIMIT_AS, pages * 4096 + (LARGE as u64) / 2);
            for access in [Access::Auto, Access::Copy, Access::Cow, Access::View] {
                // Nowhere to put it: an error with a reason, and neither abort nor signal.
                let error = connector.get(&key, access).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
            }
            let small = connector.put_bytes(b"small").unwrap();
            assert_eq!(connector.get_vec(&small).unwrap().unwrap(), b"small");
        }
        "few_mappings" => {
            let key = Key::new(&std::env::var("KEY").unwrap()).unwrap();
            let connector = open();
            use_up_mappings();
            for access in [Access::Auto, Access::Copy, Access::Cow] {
                let blob = connector.get(&key, access).unwrap().unwrap();
                assert!(blob.len() == 5 << 20 && blob.iter().all(|byte| *byte == 3));
            }
        }
        "full" => {
            let size = 8 << 20;
            mount_memory(&dir, &format!("size={size},mode=700"));
            let connector = open();
            let small = connector.put_bytes(b"small").unwrap();
            for len in [9 << 20, size as usize, 30 << 20] {
                for framed in [false, true] {
                    let bytes = vec![1; len];
                    let put = || match framed {
                        true => with_frame(&bytes, |payload| connector.put(payload)),
                        false => connector.put_bytes(&bytes),
                    };
                    let error = put().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                    assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
                }
            }
            // Filled up by small ones: the one that fails leaves nothing either.
            let bytes = vec![1; 50_000];
            let mut stored = 1;
            let error = loop {
                match with_frame(&bytes, |payload| connector.put(payload)) {
                    Ok(_) => stored += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Full);
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), stored);
            assert_eq!(connector.get_vec(&small).unwrap().unwrap(), b"small");
            connector.close(true).unwrap();
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        }
        "files_of_limited_length" => {
            // SAFETY: no handler: a write beyond the limit then fails instead of killing.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            limit(libc::RLIMIT_FSIZE, 10_000);
            for len in [20_000, 100_000, 5 << 20] {
                let put = with_frame(&noise(len), |payload| open().put(payload));
                assert_eq!(put.unwrap_err().kind(), ErrorKind::TooLarge);
            }
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        }
        "another_user" => {
            become_nobody();
            let error = FileConnector::open(FileConfig::new(&dir)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
            let below = dir.join("below");
            let error = FileConnector::open(FileConfig::new(&below)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
        "reader_without_right_to_write" => {
            become_nobody();
            let key = Key::new(&std::env::var("KEY").unwrap()).unwrap();
            assert_eq!(open().get_vec(&key).unwrap().unwrap(), b"for all");
            for len in [10, 100_000] {
                let error = open().put_bytes(&noise(len)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            }
        }
        "forks_amid_gets" => forks_amid_gets(&open()),
        other => panic!("no role {other:?}"),
    }
}

fn limit(which: libc::__rlimit_resource_t, to: libc::rlim_t) {
    let limit = libc::rlimit {
        rlim_cur: to,
        rlim_max: to,
    };
    // SAFETY: `limit` is a whole `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(which, &raw const limit) }, 0);
}

/// As root, stops being it; others are somebody else than the owner already.
fn become_nobody() {
    // SAFETY: only numbers go in.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
        }
    }
}

/// Takes mappings until there are no more, but for a handful.
fn use_up_mappings() {
    let page = 4096;
    let mut last = Vec::new();
    for turn in 0.. {
        // Neighbours of different protection are not joined to one.
        let protection = if turn % 2 == 0 {
            libc::PROT_NONE
        } else {
            libc::PROT_READ
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let got = unsafe { libc::mmap(std::ptr::null_mut(), page, protection, flags, -1, 0) };
        if got == libc::MAP_FAILED {
            break;
        }
        last.push(got);
    }
    for mapping in last.iter().rev().take(3) {
        // SAFETY: mapped above and never used.
        unsafe { libc::munmap(*mapping, page) };
    }
    std::mem::forget(last);
}

/// Threads get and let go without end; children forked meanwhile do the same.
fn forks_amid_gets(connector: &FileConnector) {
    let objects = [100, 50_000, 300_000, 3 << 20].map(noise);
    let keys = objects
        .each_ref()
        .map(|bytes| connector.put_bytes(bytes).unwrap());
    let get_all = || {
        for (key, bytes) in keys.iter().zip(&objects) {
            let blob = connector.get(key, Access::Copy).unwrap().unwrap();
            assert!(blob[..] == bytes[..]);
        }
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    get_all();
                }
            });
        }
        for _ in 0..10 {
            // SAFETY: the child gets, puts and ends; it touches nothing of the other threads'.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let sound = std::panic::catch_unwind(|| {
                    get_all();
                    proxystore::blob::clear_pool();
                    let key = connector.put_bytes(b"a child's").unwrap();
                    assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"a child's");
                });
                // SAFETY: ends the child without the test program's own endings.
                unsafe { libc::_exit(i32::from(sound.is_err())) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just forked.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

fn run(role: &str, place: &Place, key: Option<&Key>) {
    let dir = place.0.to_str().unwrap();
    let key = key.map_or("", Key::as_str);
    Role::start(role, &[("DIR", dir), ("KEY", key)]).end();
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_that_looks_whole() {
    let fives = vec![5; 7 << 20];
    for place in Place::each() {
        for pause in 0..12 {
            let mut putter = Role::start("putter", &[("DIR", place.0.to_str().unwrap())]);
            assert_eq!(putter.line(), "begins");
            std::thread::sleep(std::time::Duration::from_micros(1700 * pause));
            putter.kill();
            let connector = place.connector();
            for name in place.names() {
                // Of an object that goes by an unnamed file there is all or nothing.
                let blob = connector.get(&Key::new(&name).unwrap(), Access::Auto);
                let blob = blob.unwrap().unwrap();
                match Frame::parse(&blob) {
                    Ok(frame) => {
                        for buffer in [frame.buffer(0), frame.buffer(1)] {
                            assert!(buffer == &fives[..buffer.len()]);
                        }
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::InvalidFrame);
                        assert!(blob.len() < 64 << 10);
                    }
                }
                connector.evict(&Key::new(&name).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn without_private_memory_objects_can_still_be_read() {
    for place in Place::each() {
        let key = place.connector().put_bytes(&vec![9; LARGE]).unwrap();
        run("little_data", &place, Some(&key));
    }
}

#[test]
fn without_address_space_a_get_is_an_error() {
    for place in Place::each() {
        let key = place.connector().put_bytes(&vec![9; LARGE]).unwrap();
        run("little_address_space", &place, Some(&key));
    }
}

#[test]
fn without_mappings_objects_are_read_into_the_heap() {
    for place in Place::each() {
        let key = place.connector().put_bytes(&vec![3; 5 << 20]).unwrap();
        run("few_mappings", &place, Some(&key));
    }
}

#[test]
fn a_full_file_system_is_an_error_and_leaves_nothing() {
    run("full", &Place::in_memory(), None);
}

#[test]
fn a_limit_on_files_is_an_error_and_leaves_nothing() {
    for place in Place::each() {
        run("files_of_limited_length", &place, None);
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_by_name() {
    for root in ["/dev/shm", "/tmp"] {
        let place = Place::new(root);
        std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o700)).unwrap();
        // SAFETY: no more than a number comes back.
        if unsafe { libc::geteuid() } != 0 {
            std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o000)).unwrap();
        }
        run("another_user", &place, None);
    }
}

#[test]
fn others_read_where_the_directory_lets_them() {
    // SAFETY: no more than a number comes back.
    let is_root = unsafe { libc::geteuid() } == 0;
    for root in ["/dev/shm", "/tmp"] {
        let place = Place::new(root);
        std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o755)).unwrap();
        let key = place.connector().put_bytes(b"for all").unwrap();
        if !is_root {
            std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o555)).unwrap();
        }
        run("reader_without_right_to_write", &place, Some(&key));
        std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[test]
fn children_forked_amid_gets_go_on() {
    for place in Place::each() {
        run("forks_amid_gets", &place, None);
    }
}

#[test]
fn a_file_cut_short_is_no_frame_any_more() {
    for place in Place::each() {
        let connector = place.connector();
        for len in [1000, 100_000, 9 << 20] {
            let key = with_frame(&noise(len), |payload| connector.put(payload).unwrap());
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(place.0.join(key.as_str()));
            let file = file.unwrap();
            for left in [len / 2, HEADER_LEN, 3, 0] {
                file.set_len(left as u64).unwrap();
                let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
                assert_eq!(blob.len(), left);
                let error = Frame::parse(&blob).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidFrame);
            }
        }
    }
}

#[test]
fn evicted_while_mapped_it_stays() {
    for place in Place::each() {
        let connector = place.connector();
        let bytes = noise(9 << 20);
        let key = connector.put_bytes(&bytes).unwrap();
        let held = [Access::Cow, Access::View].map(|access| {
            let blob = connector.get(&key, access).unwrap().unwrap();
            blob.slice(1_000_000..1_000_010)
        });
        connector.evict(&key).unwrap();
        connector.close(true).unwrap();
        drop(connector);
        for part in held {
            assert_eq!(part[..], bytes[1_000_000..1_000_010]);
        }
    }
}
