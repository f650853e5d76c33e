//! A signal ends a wait for the network, if the program says so, and only then.

use proxystore::ErrorKind;
use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use std::net::TcpListener;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

static WANTED: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU32 = AtomicU32::new(0);

extern "C" fn nothing(_: libc::c_int) {}

#[test]
fn a_signal_ends_the_wait_when_it_should() {
    // Without SA_RESTART, as Python installs its handlers.
    // SAFETY: an action of zeros is a valid one, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()),
            0
        );
    }
    proxystore::interrupt::set_check(|| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        WANTED.load(Ordering::SeqCst)
    });
    // A server that never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = RedisConfig::default()
        .port(listener.local_addr().expect("its address").port())
        .timeout(Duration::from_secs(300));
    let start = Instant::now();
    let waiting = std::thread::spawn(move || RedisConnector::connect(config));
    let signal_until = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it goes on waiting"
            );
            // SAFETY: a thread of ours that has not been joined.
            unsafe { libc::pthread_kill(waiting.as_pthread_t(), libc::SIGUSR1) };
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    signal_until(&|| ASKED.load(Ordering::SeqCst) >= 3);
    assert!(!waiting.is_finished(), "the signal was not meant for it");
    WANTED.store(true, Ordering::SeqCst);
    signal_until(&|| waiting.is_finished());
    let error = waiting
        .join()
        .expect("no panic")
        .expect_err("no answer came");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error.to_string().contains("waiting for redis://"),
        "{error}"
    );
}
