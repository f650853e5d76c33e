//! Closing, clearing, forking.

use super::{Applies, always};
use crate::Trial;
use crate::content::{assert_holds, content, put};
use proxystore::{Access, Connector, ErrorKind, Key, Result};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (Trial::new("it_can_be_closed_twice", close_twice), always),
    (Trial::new("clearing_removes_what_is_ours", clear), always),
    (
        Trial::forking("a_forked_child_reads_and_writes", forked_child),
        always,
    ),
    (
        Trial::forking("a_fork_in_the_middle_of_calls", fork_amid_calls),
        always,
    ),
];

fn close_twice(connector: &dyn Connector) {
    let key = put(connector, b"x");
    connector.close(false).expect("close");
    connector.close(false).expect("close again");
    // After a close, calls may work or say that it is closed, and no more.
    let _ = closed_or(connector.get(&key, Access::Auto));
    connector.close(true).expect("close and clear");
}

fn clear(connector: &dyn Connector) {
    let keys: Vec<_> = super::sizes::sizes(connector)
        .filter(|len| *len <= 5_000_000)
        .map(|len| put(connector, &content(1, len)))
        .collect();
    connector.close(true).expect("close");
    for key in &keys {
        assert!(
            !closed_or(connector.exists(key)).unwrap_or(false),
            "{key} is still there"
        );
    }
}

/// The value, or nothing if the connector says that it is closed.
fn closed_or<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            None
        }
    }
}

fn forked_child(connector: &dyn Connector) {
    for len in [1000, 100_000, 3_000_000] {
        let most = connector.capability().max_len;
        if most.is_some_and(|most| len as u64 > most) {
            continue;
        }
        let (ours, theirs) = (content(1, len), content(2, len));
        let key = put(connector, &ours);
        let held = connector
            .get(&key, Access::Auto)
            .expect("get")
            .expect("just put");
        let written = in_child(|| {
            assert_holds(connector, &key, Access::Auto, &ours);
            assert_eq!(&held[..], &ours[..]);
            let key = put(connector, &theirs);
            assert_holds(connector, &key, Access::Auto, &theirs);
            key
        });
        assert_holds(connector, &key, Access::Auto, &ours);
        assert_ne!(key, written);
        assert!(
            (0..100).all(|_| put(connector, b"x") != written),
            "parent and child make the same keys"
        );
        if connector.capability().cross_process {
            assert_holds(connector, &written, Access::Auto, &theirs);
            connector.evict(&written).expect("evict");
        }
    }
}

fn fork_amid_calls(connector: &dyn Connector) {
    let bytes = content(3, 50_000);
    let key = put(connector, &bytes);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert_holds(connector, &key, Access::Auto, &bytes);
                let key = put(connector, &bytes);
                connector.evict(&key).expect("evict");
            }
        });
        let forks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..10 {
                in_child(|| {
                    assert_holds(connector, &key, Access::Auto, &bytes);
                    put(connector, &bytes)
                });
            }
        }));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let joined = busy.join();
        for outcome in [forks, joined] {
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Runs `work` in a forked child and returns the key that it made.
///
/// # Panics
/// If the child panics or does not end within 30 seconds.
fn in_child(work: impl FnOnce() -> Key) -> Key {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    // SAFETY: the child runs `work` alone and leaves by `_exit`, so nothing of the parent's is
    // unwound or flushed there.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let sent = outcome.is_ok_and(|key| theirs.write_all(key.as_str().as_bytes()).is_ok());
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!sent)) };
    }
    drop(theirs);
    let status = wait_for(child, Duration::from_secs(30));
    assert_eq!(status, Some(0), "the child failed (status), or hung (none)");
    let mut name = String::new();
    ours.read_to_string(&mut name).expect("the child's key");
    Key::new(&name).expect("the child's key")
}

/// The wait status of our own child; it is killed if it takes too long.
fn wait_for(child: libc::pid_t, limit: Duration) -> Option<i32> {
    let end = Instant::now() + limit;
    let mut status = 0;
    loop {
        // SAFETY: asks about our own child.
        let got = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if got == child {
            return Some(status);
        }
        if Instant::now() > end {
            // SAFETY: our own child, not waited for yet, so the number is still its.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &raw mut status, 0);
            }
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
