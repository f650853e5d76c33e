//! Many callers of one key share one fetch.

use crate::fork::{self, ForkMutex};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

/// How often a waiting caller looks up (for Ctrl-C, say).
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// After so many failures of others, a waiting caller fetches for itself: a hundred callers of an
/// unreachable server must not wait for a hundred timeouts, one after the other.
const PATIENCE: usize = 2;

/// Lets one caller fetch while the others of the same key wait for what it gets. Nothing is kept
/// afterwards; that is a [cache](crate::cache)'s work.
///
/// - A failure is the failing caller's alone: those who wait wake, and the next of them tries.
/// - A thread that asks for what it is itself fetching, or threads that wait for each other in a
///   circle, fetch for themselves instead of hanging.
/// - In a forked child, fetches of the parent's threads are forgotten.
///
/// ```
/// use proxystore::single_flight::SingleFlight;
///
/// let flights = SingleFlight::new();
/// let value: Result<i32, String> = flights.run(&"key", || Ok(42), || Ok(()));
/// assert_eq!(value, Ok(42));
/// ```
pub struct SingleFlight<K: 'static, V: 'static> {
    flights: ForkMutex<Flights<K, V>>,
}

type Flights<K, V> = HashMap<K, Arc<Flight<V>>>;

struct Flight<V> {
    generation: u64,
    leader: ThreadId,
    /// What the leader got; set before `landed`.
    value: OnceLock<V>,
    landed: Mutex<bool>,
    landing: Condvar,
}

/// What a caller of [`SingleFlight::enter`] is to do.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a caller leads or waits")]
pub enum Entry<'a, K: Clone + Eq + Hash + 'static, V: 'static> {
    /// Fetch, and pass the value on with [`Lead::complete`].
    Lead(Lead<'a, K, V>),
    /// Wait for another caller with [`Wait::wait`].
    Wait(Wait<V>),
    /// Fetch without telling anyone: waiting would never end.
    Alone,
}

impl<K: Clone + Eq + Hash + 'static, V: Clone + 'static> SingleFlight<K, V> {
    /// No flights yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            flights: ForkMutex::default(),
        }
    }

    /// The value that `fetch` gets, here or in another caller of the same key at this time.
    ///
    /// While it waits for another caller, `poll` runs every [`POLL_INTERVAL`]; an error of it ends
    /// the waiting. `fetch` and `poll` run without any lock held.
    ///
    /// # Errors
    /// What `fetch` or `poll` returned.
    pub fn run<E>(
        &self,
        key: &K,
        fetch: impl FnOnce() -> Result<V, E>,
        mut poll: impl FnMut() -> Result<(), E>,
    ) -> Result<V, E> {
        for _ in 0..PATIENCE {
            match self.enter(key) {
                Entry::Lead(lead) => return Ok(lead.complete(fetch()?)),
                Entry::Alone => return fetch(),
                Entry::Wait(wait) => {
                    if let Some(value) = wait.wait(&mut poll)? {
                        return Ok(value);
                    }
                }
            }
        }
        fetch()
    }

    /// Takes part in the flight of a key: leads it if there is none. For callers who must do
    /// something of their own between (such as letting go of a lock only if they have to wait).
    pub fn enter(&self, key: &K) -> Entry<'_, K, V> {
        let me = std::thread::current().id();
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key)
            && flight.generation == fork::generation()
        {
            let flight = Arc::clone(flight);
            drop(flights);
            return match waiting::begin(me, flight.leader) {
                Some(waiting) => Entry::Wait(Wait {
                    flight,
                    _waiting: waiting,
                }),
                None => Entry::Alone,
            };
        }
        let flight = Arc::new(Flight {
            generation: fork::generation(),
            leader: me,
            value: OnceLock::new(),
            landed: Mutex::new(false),
            landing: Condvar::new(),
        });
        let outdated = flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        drop(outdated);
        Entry::Lead(Lead {
            flights: self,
            key: key.clone(),
            flight,
        })
    }
}

impl<K: Clone + Eq + Hash + 'static, V: Clone + 'static> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: 'static, V: 'static> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

/// The caller that fetches. Dropped without [`complete`](Lead::complete), by an early return or a
/// panic, it has failed: those who wait wake, and one of them leads next.
pub struct Lead<'a, K: Clone + Eq + Hash + 'static, V: 'static> {
    flights: &'a SingleFlight<K, V>,
    key: K,
    flight: Arc<Flight<V>>,
}

impl<K: Clone + Eq + Hash + 'static, V: Clone + 'static> Lead<'_, K, V> {
    /// Hands the value to all who wait, and back.
    pub fn complete(self, value: V) -> V {
        let _ = self.flight.value.set(value.clone());
        value
    }
}

impl<K: Clone + Eq + Hash + 'static, V: 'static> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights.lock();
        let ours = flights
            .get(&self.key)
            .is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        let removed = if ours {
            flights.remove_entry(&self.key)
        } else {
            None
        };
        drop(flights);
        drop(removed);
        // A leader that forked goes on in the child as well. Nobody there waits for it, and the
        // mutex may have been held by a thread that is not there any more.
        if self.flight.generation == fork::generation() {
            let mut landed = self.flight.lock();
            *landed = true;
            drop(landed);
            self.flight.landing.notify_all();
        }
    }
}

impl<K: Clone + Eq + Hash + 'static, V: 'static> fmt::Debug for Lead<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}

/// A caller that waits for another one's fetch.
pub struct Wait<V> {
    flight: Arc<Flight<V>>,
    _waiting: waiting::Waiting,
}

impl<V: Clone> Wait<V> {
    /// What the other caller got, or `None` if it failed: then [`enter`](SingleFlight::enter)
    /// again. `poll` runs every [`POLL_INTERVAL`]; an error of it ends the waiting.
    ///
    /// # Errors
    /// What `poll` returned.
    pub fn wait<E>(self, mut poll: impl FnMut() -> Result<(), E>) -> Result<Option<V>, E> {
        loop {
            let landed = self.flight.lock();
            let (landed, _) = self
                .flight
                .landing
                .wait_timeout_while(landed, POLL_INTERVAL, |landed| !*landed)
                .unwrap_or_else(PoisonError::into_inner);
            let done = *landed;
            drop(landed);
            if done {
                return Ok(self.flight.value.get().cloned());
            }
            poll()?;
        }
    }
}

impl<V> fmt::Debug for Wait<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}

impl<V> Flight<V> {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which thread waits for which, over all flights of the process, so that a circle is seen before
/// it closes.
mod waiting {
    use super::{ForkMutex, HashMap, OnceLock, ThreadId, fork};

    fn waits() -> &'static ForkMutex<HashMap<ThreadId, ThreadId>> {
        static WAITS: OnceLock<ForkMutex<HashMap<ThreadId, ThreadId>>> = OnceLock::new();
        WAITS.get_or_init(ForkMutex::default)
    }

    /// Noted as waiting, until dropped.
    pub(super) struct Waiting {
        thread: ThreadId,
        generation: u64,
    }

    /// Notes that `thread` waits for `leader`, unless that would close a circle.
    pub(super) fn begin(thread: ThreadId, leader: ThreadId) -> Option<Waiting> {
        let mut waits = waits().lock();
        let mut next = Some(leader);
        while let Some(other) = next {
            if other == thread {
                return None;
            }
            next = waits.get(&other).copied();
        }
        waits.insert(thread, leader);
        let generation = fork::generation();
        Some(Waiting { thread, generation })
    }

    impl Drop for Waiting {
        fn drop(&mut self) {
            if self.generation == fork::generation() {
                waits().lock().remove(&self.thread);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn never() -> Result<(), String> {
        Ok(())
    }

    /// Waits until `count` threads have entered and wait for a leader: only then may it land.
    fn until_waiting(entered: &AtomicUsize, count: usize) {
        while entered.load(Ordering::SeqCst) < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn one_fetch_for_all_who_ask_at_once() {
        let flights = SingleFlight::new();
        let (fetches, waits) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| match flights.enter(&"k") {
                    Entry::Lead(lead) => {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        until_waiting(&waits, 7);
                        assert_eq!(lead.complete(42), 42);
                    }
                    Entry::Wait(wait) => {
                        waits.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(wait.wait(never), Ok(Some(42)));
                    }
                    Entry::Alone => panic!("no circle here"),
                });
            }
        });
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert!(flights.flights.lock().is_empty());
        assert_eq!(flights.run(&"k", || Ok(7), never), Ok(7), "nothing is kept");
    }

    #[test]
    fn other_keys_do_not_wait() {
        let flights = SingleFlight::new();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for key in 0..2 {
                let (flights, barrier) = (&flights, &barrier);
                scope.spawn(move || {
                    let fetch = || {
                        barrier.wait(); // both are fetching now
                        Ok(key)
                    };
                    assert_eq!(flights.run(&key, fetch, never), Ok(key));
                });
            }
        });
    }

    #[test]
    fn after_a_failure_the_next_one_tries() {
        let flights = SingleFlight::<_, i32>::new();
        let waits = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let Entry::Lead(lead) = flights.enter(&"k") else {
                panic!("nobody leads yet")
            };
            for _ in 0..4 {
                scope.spawn(|| {
                    let Entry::Wait(wait) = flights.enter(&"k") else {
                        panic!("should wait")
                    };
                    waits.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(wait.wait(never), Ok(None));
                    assert_eq!(flights.run(&"k", || Ok(5), never), Ok(5));
                });
            }
            until_waiting(&waits, 4);
            drop(lead);
        });
    }

    #[test]
    fn many_who_wait_for_a_dead_service_do_not_time_out_in_turn() {
        let flights = SingleFlight::<_, i32>::new();
        let fetches = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let fetch = || {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(50));
                        Err("unreachable".to_owned())
                    };
                    assert!(flights.run(&"k", fetch, never).is_err());
                });
            }
        });
        assert_eq!(fetches.load(Ordering::SeqCst), 8, "each has its own error");
    }

    #[test]
    fn a_panic_lets_the_others_go_on() {
        let flights = SingleFlight::<_, i32>::new();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            flights.run(
                &"k",
                || -> Result<i32, String> { panic!("on purpose") },
                never,
            )
        }));
        assert!(panicked.is_err());
        assert_eq!(flights.run(&"k", || Ok(1), never), Ok(1));
    }

    #[test]
    fn a_thread_that_asks_for_its_own_fetch_gets_one() {
        let flights = SingleFlight::new();
        let inner = || flights.run(&"k", || Ok(1), never);
        assert_eq!(flights.run(&"k", inner, never), Ok(1));
    }

    #[test]
    fn a_circle_of_threads_does_not_hang() {
        let (first, second) = (SingleFlight::new(), SingleFlight::new());
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for (mine, other) in [(&first, &second), (&second, &first)] {
                let barrier = &barrier;
                scope.spawn(move || {
                    let fetch = || {
                        barrier.wait();
                        other.run(&"k", || Ok(1), never)
                    };
                    assert_eq!(mine.run(&"k", fetch, never), Ok(1));
                });
            }
        });
        assert!(waiting_nobody());
    }

    fn waiting_nobody() -> bool {
        // Other tests of this process may wait at this time; ours have been joined.
        waiting::begin(std::thread::current().id(), other_thread()).is_some()
    }

    fn other_thread() -> ThreadId {
        std::thread::spawn(|| std::thread::current().id())
            .join()
            .unwrap()
    }

    #[test]
    fn a_poll_that_fails_ends_the_waiting() {
        let flights = SingleFlight::<_, i32>::new();
        let Entry::Lead(lead) = flights.enter(&"k") else {
            panic!("nobody leads yet")
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let interrupted = flights.run(&"k", || Ok(1), || Err("Ctrl-C".to_owned()));
                assert_eq!(interrupted, Err("Ctrl-C".to_owned()));
            });
        });
        assert_eq!(lead.complete(2), 2);
    }

    #[test]
    fn a_child_does_not_wait_for_its_parents_threads() {
        let flights = SingleFlight::new();
        let (ready, done) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let fetch = || {
                    ready.wait();
                    done.wait();
                    Ok(1)
                };
                assert_eq!(flights.run(&"k", fetch, never), Ok(1));
            });
            ready.wait();
            let good = fork::in_child(|| flights.run(&"k", || Ok(2), never) == Ok(2));
            done.wait();
            assert!(good);
        });
    }

    #[test]
    fn a_leader_that_forks_lands_in_both_processes() {
        let flights = SingleFlight::new();
        let fetch = || {
            let good = fork::in_child(|| flights.run(&"k", || Ok(3), never) == Ok(3));
            if good { Ok(4) } else { Err("child".to_owned()) }
        };
        assert_eq!(flights.run(&"k", fetch, never), Ok(4));
    }
}
