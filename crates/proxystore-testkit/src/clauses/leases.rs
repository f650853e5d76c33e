//! Objects that go by themselves.

use super::Applies;
use crate::Trial;
use crate::content::{assert_holds, content};
use proxystore::{Access, Connector, Key, Payload};
use std::time::{Duration, Instant};

pub(super) const TRIALS: &[(Trial, Applies)] = &[
    (
        Trial::new("an_object_goes_when_its_lease_ends", goes),
        |capability| capability.expiry,
    ),
    (
        Trial::new("a_touch_lets_an_object_live", touched),
        |capability| capability.expiry,
    ),
    (
        Trial::new("what_is_bound_to_this_process_goes_with_it", bound),
        |capability| capability.process_bound,
    ),
];

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);
/// One that is put beside others, and one in many parts.
const SIZES: [usize; 3] = [10, 100_000, 3_000_000];

/// Both ways to ask say the same, and it is gone some time after its end.
fn goes_soon(connector: &dyn Connector, key: &Key) {
    let until = Instant::now() + Duration::from_secs(30);
    while connector.exists(key).expect("exists") {
        assert!(Instant::now() < until, "it outlives its lease");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(connector.get(key, Access::Auto).expect("get").is_none());
}

fn goes(connector: &dyn Connector) {
    for len in SIZES {
        let bytes = content(1, len);
        let plain = Payload::from_bytes(&bytes);
        let (short, long) = (
            plain.clone().with_lease(SHORT),
            plain.clone().with_lease(LONG),
        );
        let mut gone = vec![connector.put(&short).expect("put")];
        let mut stay = vec![connector.put(&long).expect("put")];
        let batch = connector
            .put_batch(&[short.clone(), long, plain.clone()])
            .expect("put_batch");
        gone.push(batch[0].clone());
        stay.extend_from_slice(&batch[1..]);
        if connector.capability().deferred_set {
            let key = connector.new_key();
            connector.set(&key, &plain).expect("set");
            connector.set(&key, &short).expect("set");
            gone.push(key);
            let key = connector.new_key();
            connector.set(&key, &short).expect("set");
            connector.set(&key, &plain).expect("set");
            stay.push(key);
        }
        gone.iter().for_each(|key| goes_soon(connector, key));
        for key in &stay {
            assert_holds(connector, key, Access::Auto, &bytes);
        }
        connector.sweep().expect("sweep");
        let listed = connector.keys().unwrap_or_default();
        assert!(!gone.iter().any(|key| listed.contains(key)));
        connector.evict_batch(&stay).expect("evict_batch");
    }
}

fn touched(connector: &dyn Connector) {
    for len in SIZES {
        let bytes = content(1, len);
        let plain = Payload::from_bytes(&bytes);
        let leased = plain.clone().with_lease(Duration::from_secs(20));
        let keys = [
            connector.put(&leased).expect("put"),
            connector.put(&plain).expect("put"),
            connector.new_key(),
        ];
        let there = [true, true, false];
        assert_eq!(connector.touch(&keys, LONG).expect("touch"), there);
        for key in &keys[..2] {
            assert_holds(connector, key, Access::Auto, &bytes);
        }
        assert_eq!(connector.touch(&keys, SHORT).expect("touch"), there);
        keys.iter().for_each(|key| goes_soon(connector, key));
    }
    assert!(connector.touch(&[], LONG).expect("touch").is_empty());
}

fn bound(connector: &dyn Connector) {
    let bytes = content(1, 100_000);
    let payload = Payload::from_bytes(&bytes);
    let stays = connector.put(&payload).expect("put");
    for _ in 0..2 {
        let key = connector.new_key();
        connector
            .bind_to_process(std::slice::from_ref(&key))
            .expect("bind_to_process");
        connector.set(&key, &payload).expect("set");
        connector.sweep().expect("sweep");
        assert_holds(connector, &key, Access::Auto, &bytes);
        connector.evict_bound().expect("evict_bound");
        assert!(!connector.exists(&key).expect("exists"));
    }
    assert_holds(connector, &stays, Access::Auto, &bytes);
}
