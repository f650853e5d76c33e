//! Stores over a connector that fails on demand: whatever goes wrong, what was put is there.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use proxystore::connectors::memory::MemoryConnector;
use proxystore::{Error, ErrorKind, Key, Store, StoreBuilder};
use proxystore_testkit::{Call, Fault, FaultConnector};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: u64 = 20;
const CALLS: usize = 400;

/// A small generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn text(&mut self) -> String {
        const LENGTHS: [usize; 4] = [1, 100, 2000, 30_000];
        format!("{:08}", self.below(100_000_000)).repeat(LENGTHS[self.below(4)])
    }

    fn fault(&mut self) -> Fault {
        let kinds = [ErrorKind::Unreachable, ErrorKind::Timeout, ErrorKind::Full];
        let kind = kinds[self.below(3)];
        match self.below(5) {
            0 => Fault::Fail(kind),
            1 => Fault::FailAfter(kind),
            2 => Fault::Delay(Duration::from_micros(50)),
            3 => Fault::Truncate(self.below(300)),
            _ => Fault::DropHalfway,
        }
    }
}

/// What a call may say after this fault.
fn is_told(fault: Option<Fault>, error: &Error) -> bool {
    let expected: &[ErrorKind] = match fault {
        Some(Fault::Fail(kind) | Fault::FailAfter(kind)) => &[kind],
        Some(Fault::DropHalfway) => &[ErrorKind::Io],
        // What was cut is seen by its length.
        Some(Fault::Truncate(_)) => &[ErrorKind::InvalidFrame],
        Some(Fault::Delay(_)) | None => &[],
    };
    let is_later = matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout);
    expected.contains(&error.kind()) && error.is_retryable() == is_later
}

#[test]
fn what_was_put_is_there_whatever_fails() {
    let (mut put, mut told) = (0, 0);
    for round in 1..=ROUNDS {
        let faults = Arc::new(FaultConnector::new(MemoryConnector::new()));
        let store = StoreBuilder::new("faults")
            .cache_entries(0)
            .connect(faults.clone());
        let mut random = Random(round * 0x9E37_79B9);
        let mut kept: HashMap<Key, String> = HashMap::new();
        for _ in 0..CALLS {
            let known = kept.keys().nth(random.below(kept.len())).cloned();
            let call = [
                Call::Put,
                Call::PutBatch,
                Call::Get,
                Call::Exists,
                Call::Evict,
            ];
            let call = call[random.below(5)];
            let mut fault = (random.below(3) == 0).then(|| random.fault());
            // The length of what is stored is believed: only what is read may be cut.
            if call != Call::Get && matches!(fault, Some(Fault::Truncate(_))) {
                fault = None;
            }
            if let Some(fault) = fault {
                faults.inject(call, 1, fault);
            }
            let failed = match (call, known) {
                (Call::Put, _) => {
                    let value = random.text();
                    store
                        .put(&value)
                        .map(|key| drop(kept.insert(key, value)))
                        .err()
                }
                (Call::PutBatch, _) => {
                    let values = [random.text(), random.text(), random.text()];
                    let keys = store.put_batch(&values);
                    keys.map(|keys| kept.extend(keys.into_iter().zip(values)))
                        .err()
                }
                (Call::Get, Some(key)) => match store.get::<String>(&key) {
                    Ok(found) => {
                        assert_eq!(found.as_ref(), kept.get(&key), "{fault:?}");
                        None
                    }
                    Err(error) => Some(error),
                },
                (Call::Exists, Some(key)) => match store.exists(&key) {
                    Ok(is_there) => {
                        assert!(is_there, "{fault:?}");
                        None
                    }
                    Err(error) => Some(error),
                },
                (_, Some(key)) => match store.evict(&key) {
                    Ok(()) => {
                        kept.remove(&key);
                        None
                    }
                    Err(error) => {
                        // It may have been carried out; it can be repeated until it is said so.
                        faults.heal();
                        store.evict(&key).unwrap();
                        kept.remove(&key);
                        Some(error)
                    }
                },
                (_, None) => None,
            };
            if let Some(error) = failed {
                told += 1;
                assert!(is_told(fault, &error), "{call:?} {fault:?}: {error}");
            }
            faults.heal();
        }
        put += kept.len();
        all_are_there(&store, &kept);
    }
    println!("{ROUNDS} rounds of {CALLS} calls: {told} errors told, {put} objects, 0 lost");
    assert!(told > 1000 && put > 1000, "{told} {put}");
}

fn all_are_there(store: &Store, kept: &HashMap<Key, String>) {
    for (key, value) in kept {
        assert_eq!(store.get::<String>(key).unwrap().as_ref(), Some(value));
    }
    let keys: Vec<_> = kept.keys().cloned().collect();
    for (key, found) in keys.iter().zip(store.get_batch::<String>(&keys).unwrap()) {
        assert_eq!(found.as_ref(), kept.get(key));
    }
}
