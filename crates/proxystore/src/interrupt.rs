//! Ending a call that waits for the network, when the user wants the program to stop.
//!
//! A signal wakes a thread that waits in a socket. Whether it is meant to end the call is for the
//! program around us to say: for Python, whether a signal's handler raised.

use std::sync::OnceLock;

static CHECK: OnceLock<fn() -> bool> = OnceLock::new();

/// Names the function that is asked, on the thread that was woken by a signal, whether to give up
/// what it waits for. The first one stays. Without one, calls go on waiting.
///
/// ```
/// proxystore::interrupt::set_check(|| false);
/// assert!(!proxystore::interrupt::is_requested());
/// ```
pub fn set_check(check: fn() -> bool) {
    let _ = CHECK.set(check);
}

/// Whether a call that a signal woke should end, with an error, rather than go on waiting.
#[must_use]
pub fn is_requested() -> bool {
    CHECK.get().is_some_and(|check| check())
}
