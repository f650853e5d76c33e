//! A cluster whose slots move and whose masters die.

use super::*;
use proxystore::connectors::redis::ClusterConfig;
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use proxystore_testkit::RedisCluster;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn of(cluster: &RedisCluster) -> RedisConfig {
    RedisConfig::default().cluster(ClusterConfig::new(cluster.addresses()))
}

/// The slot of an object's key, as the server says.
fn slot(cluster: &RedisCluster, key: &Key) -> u16 {
    let name = format!("proxystore:{key}");
    let slot = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &name]);
    slot.parse().unwrap()
}

/// All that masters have.
fn names(cluster: &RedisCluster) -> Vec<String> {
    let is_master =
        |node: &&RedisServer| node.ask(&["INFO", "replication"]).contains("role:master");
    let masters = cluster.nodes().iter().filter(is_master);
    let mut names: Vec<_> = masters
        .flat_map(|node| {
            let names = node.ask(&["KEYS", "*"]);
            names.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names
}

#[test]
fn objects_are_spread_and_each_lies_together() {
    let cluster = RedisCluster::start(&["--proto-max-bulk-len", "1mb"]);
    let connector = RedisConnector::connect(of(&cluster)).unwrap();
    assert!(
        connector
            .to_string()
            .starts_with("redis+cluster://127.0.0.1:")
    );
    let many: Vec<_> = (0..300).map(|at| content(100 + at, 7)).collect();
    let payloads: Vec<_> = many.iter().map(|one| Payload::from_bytes(one)).collect();
    let keys = connector.put_batch(&payloads).unwrap();
    for master in &cluster.nodes()[..RedisCluster::MASTERS] {
        assert!(key_count(master) > 50, "each has some");
    }
    let found = connector.get_batch(&keys, Access::Auto).unwrap();
    assert!(std::iter::zip(&found, &many).all(|(one, two)| one.as_deref() == Some(&two[..])));

    // Above what one value may be here.
    let large = content(40_000_000, 3);
    let key = connector.put_bytes(&large).unwrap();
    assert!(connector.get_vec(&key).unwrap().unwrap() == large);
    let chunks: Vec<_> = names(&cluster)
        .into_iter()
        .filter(|name| name.contains('/'))
        .collect();
    assert_eq!(chunks.len(), large.len().div_ceil(512 << 10));
    for chunk in &chunks {
        let of_chunk = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", chunk]);
        assert_eq!(of_chunk, slot(&cluster, &key).to_string(), "{chunk}");
    }

    // Another's keys stay; everything of ours goes, on each master.
    let foreign = cluster.owner(12182); // of `foo`
    assert_eq!(
        cluster.nodes()[foreign].ask(&["SET", "foo", "theirs"]),
        "OK"
    );
    let mut listed = connector.keys().unwrap();
    listed.sort();
    let mut wanted = keys.clone();
    wanted.push(key);
    wanted.sort();
    assert_eq!(listed, wanted);
    let other = RedisConnector::connect(of(&cluster).namespace("other")).unwrap();
    other.put_bytes(b"of another namespace").unwrap();
    connector.evict_batch(&keys[..100]).unwrap();
    assert_eq!(connector.keys().unwrap().len(), 201);
    connector.close(true).unwrap();
    let left = names(&cluster);
    assert!(
        left.len() == 2 && left[0] == "foo" && left[1].starts_with("other:"),
        "{left:?}"
    );

    let key = other.put_bytes(b"x").unwrap();
    assert_eq!(
        other
            .touch(&[key.clone(), Key::fresh()], Duration::from_secs(9))
            .unwrap(),
        [true, false]
    );
    wrong_configurations(&cluster);
}

fn wrong_configurations(cluster: &RedisCluster) {
    let port = cluster.nodes()[0].port();
    let plain = RedisConnector::connect(RedisConfig::default().port(port)).unwrap();
    let errors: Vec<_> = (0..20)
        .filter_map(|_| plain.put_bytes(b"x").err())
        .collect();
    assert!(!errors.is_empty() && errors.len() < 20);
    assert_eq!(errors[0].kind(), ErrorKind::InvalidConfig);
    assert!(
        errors[0].to_string().contains("redis+cluster://"),
        "{}",
        errors[0]
    );

    let server = RedisServer::start(&[]);
    let no_cluster = ClusterConfig::new([("127.0.0.1", server.port())]);
    let error = RedisConnector::connect(RedisConfig::default().cluster(no_cluster)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(
        error.to_string().contains("not a node of a cluster"),
        "{error}"
    );

    let nobody = ClusterConfig::new([("127.0.0.1", 1)]);
    let config = RedisConfig::default().cluster(nobody).password("hunter2");
    let error = RedisConnector::connect(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(error.to_string().contains("cluster info"), "{error}");
    for (wrong, field) in [
        (of(cluster).db(1), "`db`"),
        (of(cluster).namespace("{a}"), "`namespace`"),
        (of(cluster).bare_keys(true), "`bare_keys`"),
        (of(cluster).unix_socket("/socket"), "`unix_socket`"),
        (
            RedisConfig::default().cluster(ClusterConfig::new([("", 1)])),
            "`cluster`",
        ),
    ] {
        let error = RedisConnector::new(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn slots_move_while_objects_are_put_and_read() {
    let cluster = RedisCluster::start(&[]);
    let connector = RedisConnector::connect(of(&cluster)).unwrap();
    let (small, large) = (content(100, 1), content(3_000_000, 2));
    let before = [&small, &large, &large].map(|value| connector.put_bytes(value).unwrap());
    let [small_key, large_key, half_key] = &before;

    // Each state of a slot in turn: nothing moved, half of the chunks, all but the head.
    for (key, value) in [(small_key, &small), (large_key, &large), (half_key, &large)] {
        let slot = slot(&cluster, key);
        let to = (cluster.owner(slot) + 1) % RedisCluster::MASTERS;
        let moving = cluster.begin_moving(slot, to, |_| false);
        assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        let is_even = |name: &str| name.ends_with(['0', '2', '4']);
        cluster.move_keys(&moving, |name| name.contains('/') && is_even(name));
        assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        assert!(connector.exists(key).unwrap());
        cluster.move_keys(&moving, |name| name.contains('/'));
        assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        let batch = connector.get_batch(&before, Access::Auto).unwrap();
        assert!(batch.iter().all(Option::is_some));
        // Replaced, evicted and set anew while its keys are in two places.
        for value in [&large, &small, &large] {
            connector.set(key, &Payload::from_bytes(value)).unwrap();
            assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        }
        connector.evict(key).unwrap();
        assert!(!connector.exists(key).unwrap());
        assert!(connector.get_vec(key).unwrap().is_none());
        connector.set(key, &Payload::from_bytes(value)).unwrap();
        assert_eq!(
            connector
                .touch(std::slice::from_ref(key), Duration::from_secs(900))
                .unwrap(),
            [true]
        );
        assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        cluster.finish_moving(&moving);
        assert!(connector.get_vec(key).unwrap().as_ref() == Some(value));
        assert_eq!(cluster.owner(slot), to);
    }
    // Its chunks are where it is, and none was left behind.
    let wanted = 3 + 2 * large.len().div_ceil(512 << 10);
    assert_eq!(names(&cluster).len(), wanted, "{:#?}", names(&cluster));

    // Traffic while many slots move.
    let is_over = AtomicBool::new(false);
    let limit = Instant::now() + Duration::from_secs(60);
    let put = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (connector, put, is_over) = (&connector, &put, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) && Instant::now() < limit {
                    let value = content(if seed == 0 { 1_500_000 } else { 500 }, seed);
                    let values = [Payload::from_bytes(&value), Payload::from_bytes(&value)];
                    let mut keys = connector.put_batch(&values).unwrap();
                    keys.push(connector.put_bytes(&value).unwrap());
                    for key in &keys {
                        assert!(connector.get_vec(key).unwrap().unwrap() == value);
                    }
                    connector.evict(&keys.remove(0)).unwrap();
                    put.lock()
                        .unwrap()
                        .extend(keys.into_iter().map(|key| (key, seed)));
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(3);
        let mut moved = 0;
        while Instant::now() < end || moved < 5 {
            assert!(Instant::now() < limit, "{moved} slots moved");
            // Slots that have objects.
            let key = put.lock().unwrap().last().cloned();
            let Some((key, _)) = key else { continue };
            let slot = slot(&cluster, &key);
            let to = (cluster.owner(slot) + 1) % RedisCluster::MASTERS;
            let moving = cluster.begin_moving(slot, to, |name| name.ends_with('1'));
            assert!(connector.exists(&key).unwrap());
            cluster.finish_moving(&moving);
            moved += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let put = put.into_inner().unwrap();
    for (key, seed) in &put {
        let value = content(if *seed == 0 { 1_500_000 } else { 500 }, *seed);
        assert!(connector.get_vec(key).unwrap().unwrap() == value);
    }
    connector.close(true).unwrap();
    assert_eq!(names(&cluster), [""; 0]);
}

/// Puts and gets until it is told to stop. Says what was put, and the errors.
fn traffic(
    connector: &RedisConnector,
    seed: u8,
    is_over: &AtomicBool,
) -> (Vec<Key>, HashSet<ErrorKind>) {
    let (mut keys, mut errors) = (Vec::new(), HashSet::new());
    let value = content(if seed == 0 { 1_500_000 } else { 500 }, seed);
    let limit = Instant::now() + Duration::from_secs(90);
    while !is_over.load(Ordering::Relaxed) && Instant::now() < limit {
        match connector.put_bytes(&value) {
            Ok(key) => keys.push(key),
            Err(error) => drop(errors.insert(error.kind())),
        }
        match keys.last().map(|key| connector.get_vec(key)) {
            Some(Ok(found)) => assert!(found.is_none_or(|found| found == value), "other bytes"),
            Some(Err(error)) => drop(errors.insert(error.kind())),
            None => {}
        }
    }
    (keys, errors)
}

#[test]
fn a_replica_takes_over_from_a_master_that_was_killed() {
    let mut cluster = RedisCluster::start(&[]);
    let connector = RedisConnector::connect(of(&cluster).replicas(1)).unwrap();
    let is_over = AtomicBool::new(false);
    let threads = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4)
            .map(|seed| {
                let (connector, is_over) = (&connector, &is_over);
                scope.spawn(move || traffic(connector, seed, is_over))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        cluster.nodes_mut()[0].stop();
        std::thread::sleep(Duration::from_secs(4));
        // It comes back as the replica of who took over.
        cluster.nodes_mut()[0].restart();
        cluster.wait_until_whole();
        std::thread::sleep(Duration::from_millis(500));
        is_over.store(true, Ordering::Relaxed);
        all.into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(cluster.owner(0) != 0, "another one has its slots");
    let mut count = 0;
    for (seed, (keys, errors)) in threads.into_iter().enumerate() {
        assert!(
            errors.iter().all(|kind| kind.is_retryable()),
            "errors that say nothing of repeating: {errors:?}"
        );
        let value = content(if seed == 0 { 1_500_000 } else { 500 }, seed as u8);
        count += keys.len();
        for key in keys {
            let found = connector.get_vec(&key).unwrap();
            assert!(found.expect("a put that returned") == value);
        }
    }
    assert!(count > 100, "{count} objects");

    // Without retries the failure is told at once.
    let hasty = RedisConnector::connect(of(&cluster).retries(0)).unwrap();
    let key = hasty.put_bytes(b"x").unwrap();
    let owner = cluster.owner(slot(&cluster, &key));
    cluster.nodes_mut()[owner].stop();
    let began = Instant::now();
    let error = hasty.get_vec(&key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("may be repeated"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
