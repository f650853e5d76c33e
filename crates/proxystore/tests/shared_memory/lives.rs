//! As long as any process of the program lives, its objects do; then the next opener sweeps them.

use crate::places::{Places, from_line, to_line, user_directory};
use crate::role::{self, Role};
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector, sessions};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const LARGE: usize = 3 << 20;

/// The roles of this program's processes.
pub(crate) fn play(name: &str) {
    match name {
        // Makes a session with a small, a large and a spilled object.
        "maker" => {
            let connector = make_objects();
            wait_for_end();
            drop(connector);
        }
        // The same, with a forked child that does nothing at all but live.
        "forker" => {
            let _connector = make_objects();
            // SAFETY: the child only waits and ends.
            let child = unsafe { libc::fork() };
            if child != 0 {
                role::say(child);
            }
            wait_for_end();
            if child == 0 {
                // SAFETY: ends the child without the test program's own endings.
                unsafe { libc::_exit(0) };
            }
        }
        // Closes every descriptor, as a program that becomes a daemon does, and goes on.
        "daemon" => {
            let connector = make_objects();
            // SAFETY: what is closed belongs to the connector, which bears it, and to nobody else.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            let key = connector.put_bytes(b"more").unwrap();
            let again = SharedMemoryConnector::join(connector.session()).unwrap();
            assert_eq!(again.get_vec(&key).unwrap().unwrap(), b"more");
            drop(again);
            role::say("goes on");
            wait_for_end();
            assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"more");
        }
        // Holds the session it is told by a lock that its library knows nothing of, as a second
        // copy of the library does, and opens another.
        "second_copy" => {
            let lock = std::env::var("LOCK").unwrap();
            let file = std::fs::File::options().read(true).write(true).open(lock);
            let file = file.unwrap();
            // SAFETY: all fields of `flock` are numbers; zero means the whole file.
            let mut lock: libc::flock = unsafe { std::mem::zeroed() };
            lock.l_type = libc::F_RDLCK as libc::c_short;
            // SAFETY: `lock` is a whole `flock`.
            let locked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
            assert_eq!(locked, 0);
            role::say("holds");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            drop(SharedMemoryConnector::create(SharedMemoryConfig::default()).unwrap());
            role::say("opened");
            wait_for_end();
        }
        // Joins the session it is told, and reads.
        "joiner" => {
            let (connector, keys) = join_told();
            for key in &keys {
                assert!(connector.get_vec(key).unwrap().is_some());
            }
            role::say("read");
            wait_for_end();
            for key in &keys {
                assert!(connector.get_vec(key).unwrap().is_some());
            }
        }
        // Opens and closes sessions, each time sweeping, and joins the one it is told.
        "opener" => {
            for _ in 0..30 {
                let (connector, keys) = join_told();
                let own = SharedMemoryConnector::create(
                    SharedMemoryConfig::default().limit(u64::from(std::process::id())),
                );
                let key = own.as_ref().unwrap().put_bytes(b"x").unwrap();
                assert!(own.unwrap().exists(&key).unwrap());
                assert!(connector.exists(&keys[0]).unwrap());
            }
        }
        // Stores a result, as a worker does, and ends.
        "worker" => {
            let connector = SharedMemoryConnector::create(SharedMemoryConfig::default()).unwrap();
            let key = connector.put_bytes(b"result").unwrap();
            role::say(format!("{}#{key}", to_line(connector.session())));
        }
        other => panic!("no role {other:?}"),
    }
}

/// Waits until the trial has nothing more to ask.
fn wait_for_end() {
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
}

fn make_objects() -> SharedMemoryConnector {
    let connector =
        SharedMemoryConnector::create(SharedMemoryConfig::default().limit(4 << 20)).unwrap();
    let keys = [b"small".to_vec(), vec![1; LARGE], vec![2; LARGE]]
        .map(|bytes| connector.put_bytes(&bytes).unwrap().to_string());
    assert!(connector.usage().spilled > 0);
    let session = to_line(connector.session());
    role::say(format!("{session}#{}", keys.join(",")));
    connector
}

fn join_told() -> (SharedMemoryConnector, Vec<Key>) {
    let told = std::env::var("TOLD").unwrap();
    let (session, keys) = told.split_once('#').unwrap();
    let keys = keys.split(',').map(|key| Key::new(key).unwrap()).collect();
    (
        SharedMemoryConnector::join(&from_line(session)).unwrap(),
        keys,
    )
}

fn session_of(told: &str) -> &str {
    told.split_once('|').unwrap().0
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "it never came about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_orderly_end_leaves_nothing() {
    let places = Places::new();
    let maker = Role::start("maker", &places.environment());
    let told = maker.line();
    assert!(!places.is_swept(session_of(&told)));
    maker.end();
    assert!(places.is_swept(session_of(&told)));
}

#[test]
fn after_a_kill_the_next_opener_leaves_nothing() {
    let places = Places::new();
    let mut maker = Role::start("maker", &places.environment());
    let told = maker.line();
    maker.kill();
    assert!(!places.is_swept(session_of(&told)));
    drop(places.connector());
    assert!(places.is_swept(session_of(&told)));
    let (session, _) = told.split_once('#').unwrap();
    let ended = SharedMemoryConnector::join(&from_line(session)).unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Closed);
    assert!(ended.to_string().contains("has ended"), "{ended}");
}

#[test]
fn whoever_joined_keeps_it_alive() {
    let places = Places::new();
    let mut maker = Role::start("maker", &places.environment());
    let told = maker.line();
    let mut environment = places.environment().to_vec();
    environment.push(("TOLD", &told));
    let joiner = Role::start("joiner", &environment);
    assert_eq!(joiner.line(), "read");
    maker.kill();
    drop(places.connector());
    assert!(!places.is_swept(session_of(&told)));
    // The last one to end, and in order.
    joiner.end();
    assert!(places.is_swept(session_of(&told)));
}

#[test]
fn a_forked_child_that_does_nothing_keeps_it_alive() {
    let places = Places::new();
    let mut forker = Role::start("forker", &places.environment());
    let told = forker.line();
    let child: i32 = forker.line().parse().unwrap();
    // Both hold it, each by a lock of its own.
    let held = || {
        let all = sessions(Some(&places.memory)).unwrap();
        let one = all.into_iter().find(|one| one.name == session_of(&told));
        one.map_or(Vec::new(), |one| one.holders)
    };
    let begun = Instant::now();
    while held().len() < 2 {
        // The child may not have run yet.
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "one of them holds nothing"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(held().iter().all(|holder| holder.since.is_some()));
    let root = forker.child.id();
    forker.kill();
    assert!(!held().iter().any(|holder| holder.pid == root));
    drop(places.connector());
    assert!(!places.is_swept(session_of(&told)));
    // SAFETY: the process that the role forked, which waits for its input to end.
    unsafe { libc::kill(child, libc::SIGKILL) };
    wait_until(|| {
        drop(places.connector());
        places.is_swept(session_of(&told))
    });
}

#[test]
fn a_daemon_that_closed_its_descriptors_keeps_it_alive() {
    let places = Places::new();
    let daemon = Role::start("daemon", &places.environment());
    let told = daemon.line();
    assert_eq!(daemon.line(), "goes on");
    drop(places.connector());
    assert!(!places.is_swept(session_of(&told)));
    daemon.end();
    assert!(places.is_swept(session_of(&told)));
}

#[test]
fn sweepers_and_joiners_at_once_never_lose_a_living_session() {
    let places = Places::new();
    let maker = Role::start("maker", &places.environment());
    let told = maker.line();
    let mut environment = places.environment().to_vec();
    environment.push(("TOLD", &told));
    let openers: Vec<_> = (0..4)
        .map(|_| Role::start("opener", &environment))
        .collect();
    openers.into_iter().for_each(Role::end);
    maker.end();
    let (memory, disk) = places.names();
    assert_eq!((memory, disk), (vec![], vec![]));
}

#[test]
fn what_a_worker_stores_in_its_programs_session_outlives_the_worker() {
    let places = Places::new();
    let connector = places.connector();
    let mut environment = places.environment().to_vec();
    environment.push(("PROXYSTORE_SHM_SESSION", &connector.session().name));
    let worker = Role::start("worker", &environment);
    let told = worker.line();
    worker.end();
    drop(places.connector());
    let (session, key) = told.split_once('#').unwrap();
    assert_eq!(session_of(&told), connector.session().name);
    let result = SharedMemoryConnector::join(&from_line(session)).unwrap();
    let blob = result.get(&Key::new(key).unwrap(), Access::Auto).unwrap();
    assert_eq!(&blob.unwrap()[..], b"result");
}

#[test]
fn a_second_copy_of_the_library_in_a_process_does_not_sweep_the_firsts() {
    let places = Places::new();
    let mut maker = Role::start("maker", &places.environment());
    let told = maker.line();
    let lock = user_directory(&places.memory).join(format!("{}.lock", session_of(&told)));
    let mut environment = places.environment().to_vec();
    environment.push(("LOCK", lock.to_str().unwrap()));
    let mut second = Role::start("second_copy", &environment);
    assert_eq!(second.line(), "holds");
    maker.kill();
    writeln!(second.input.as_mut().unwrap(), "go on").unwrap();
    assert_eq!(second.line(), "opened");
    drop(places.connector());
    assert!(!places.is_swept(session_of(&told)));
    second.end();
    drop(places.connector());
    assert!(places.is_swept(session_of(&told)));
}

#[test]
fn a_session_that_is_named_but_dead_is_replaced() {
    let places = Places::new();
    let mut environment = places.environment().to_vec();
    let dead = Key::fresh().to_string();
    environment.push(("PROXYSTORE_SHM_SESSION", &dead));
    let worker = Role::start("worker", &environment);
    assert_ne!(session_of(&worker.line()), dead);
    worker.end();
}
