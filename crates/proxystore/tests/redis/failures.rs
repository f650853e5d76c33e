//! Servers that are gone, silent, full or no servers at all.

use super::*;
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_server_that_is_not_there_is_named_with_advice() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error =
        RedisConnector::connect(RedisConfig::default().port(port).password("hunter2")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(
        text.contains(&format!("redis-cli -h 127.0.0.1 -p {port} ping")),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");

    let error = RedisConnector::connect(RedisConfig::default().unix_socket("/nonexistent/socket"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("redis-cli -s /nonexistent/socket ping"),
        "{error}"
    );

    let error =
        RedisConnector::connect(RedisConfig::default().host("no-such-host.invalid")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

/// Answers each connection once, with these bytes.
fn answering(words: &'static [u8]) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(words);
        let _ = stream.read(&mut [0; 1]); // until the other side has had enough
    });
    (port, server)
}

#[test]
fn odd_answers_are_errors_and_no_panic() {
    let key = Key::fresh();
    let odd: [&[u8]; 8] = [
        b"$9223372036854775807\r\nx",
        b"$-7\r\n",
        b"$3\r\nabcd\r\n",
        b":1\r\n",
        b"*0\r\n",
        b"*9223372036854775807\r\n$-1\r\n",
        b"+OK\r\n+OK\r\n",
        b"\r\n",
    ];
    for words in odd {
        for batch in [false, true] {
            let (port, server) = answering(words);
            let config = RedisConfig::default()
                .port(port)
                .timeout(Duration::from_millis(300));
            let connector = RedisConnector::new(config).unwrap();
            let failed = if batch {
                let keys = [key.clone(), key.clone()];
                connector.get_batch(&keys, Access::Auto).is_err()
            } else {
                connector.get(&key, Access::Auto).is_err()
            };
            assert!(failed, "{:?}", String::from_utf8_lossy(words));
            connector.close(false).unwrap();
            server.join().unwrap();
        }
    }
}

/// A listener that never answers, as a machine behind a firewall.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn silence_ends_with_the_timeout() {
    let listener = silent();
    let config = RedisConfig::default()
        .port(listener.local_addr().unwrap().port())
        .timeout(Duration::from_millis(200));
    let start = Instant::now();
    let error = RedisConnector::connect(config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("0.2 s"), "{error}");

    // The introduction counts as connecting.
    let config = config
        .password("x")
        .connect_timeout(Duration::from_millis(200))
        .timeout(Duration::from_secs(60));
    let error = RedisConnector::connect(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("within 0.2 s"), "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "the long timeout was taken"
    );
}

#[test]
fn what_is_not_redis_is_noticed() {
    let listener = silent();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = RedisConnector::connect(RedisConfig::default().port(port)).unwrap_err();
    server.join().unwrap();
    assert!(
        error
            .to_string()
            .contains("does not speak Redis's protocol"),
        "{error}"
    );
    assert!(error.to_string().contains("HTTP/1.1"), "{error}");
}

#[test]
fn a_writer_that_is_killed_leaves_nothing_that_stays() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    let (piece, mut payload) = (content(1 << 20, 1), Payload::new(&[]));
    for _ in 0..400 {
        payload.push(&piece);
    }
    // SAFETY: the child stores and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let put = connector.put(&payload).is_ok();
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!put)) };
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while key_count(&server) < 5 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    // SAFETY: our own child, not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: as above.
    let waited = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(waited, child);
    let names = server.ask(&["KEYS", "*"]);
    assert!(names.lines().count() >= 5);
    for name in names.lines() {
        assert!(
            name.starts_with("proxystore:/"),
            "a head without all its chunks: {name}"
        );
        let seconds: i64 = server.ask(&["TTL", name]).parse().unwrap();
        assert!(
            (1..=86_400).contains(&seconds),
            "{name} stays for {seconds} s"
        );
    }
}

#[test]
fn a_missing_chunk_is_an_error_that_says_so() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    let key = connector.put_bytes(&content(LARGE, 1)).unwrap();
    let names = server.ask(&["KEYS", "*/*/3"]);
    assert_eq!(server.ask(&["DEL", names.trim()]), "1");
    for _ in 0..2 {
        let error = connector.get(&key, Access::Auto).unwrap_err();
        assert!(
            error.to_string().contains("chunk 3 of 10 is missing"),
            "{error}"
        );
        assert_eq!(error.key(), Some(&key));
    }
    // A chunk of another length is no chunk of ours.
    let _ = server.ask(&["SET", names.trim(), "short"]);
    assert!(connector.get(&key, Access::Auto).is_err());
    assert!(
        connector
            .get_batch(std::slice::from_ref(&key), Access::Auto)
            .is_err()
    );
    connector.evict(&key).unwrap();
    assert_eq!(key_count(&server), 0);
}

#[test]
fn a_restarted_server_is_reconnected_to() {
    let mut server = RedisServer::start(&[]);
    let connector = connect(&server);
    // Several idle connections, all of which the restart breaks.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| connector.put_bytes(&content(LARGE, 1)).unwrap());
        }
    });
    for value in [content(10, 1), content(LARGE, 2)] {
        server.restart();
        let key = connector.put_bytes(&value).unwrap();
        server.restart();
        assert!(
            connector.get(&key, Access::Auto).unwrap().is_none(),
            "it came back empty"
        );
        server.restart();
        let key = connector.put_bytes(&value).unwrap();
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), value);
    }
    server.stop();
    let error = connector.put_bytes(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("redis-cli"), "{error}");
}

#[test]
fn every_thread_waits_for_a_server_that_was_there() {
    let mut server = RedisServer::start(&[]);
    let connector = RedisConnector::connect(config(&server).retries(7)).unwrap();
    server.stop();
    // This one finds the idle connection broken, so that the others find none.
    let error = connector.put_bytes(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    std::thread::scope(|scope| {
        let put = || connector.put_bytes(b"x");
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(put)).collect();
        std::thread::sleep(Duration::from_millis(100));
        server.restart();
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    for _ in 0..3 {
        let key = connector.put_bytes(b"value").unwrap();
        let _ = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"value");
        let _ = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(connector.exists(&key).unwrap());
        let _ = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        connector.evict(&key).unwrap();
    }
}

#[test]
fn a_full_server_is_an_error_and_keeps_nothing_of_it() {
    let server = RedisServer::start(&["--maxmemory", "20mb", "--maxmemory-policy", "noeviction"]);
    let connector = connect(&server);
    let kept = connector.put_bytes(b"kept").unwrap();
    let large = content(40_000_000, 1);
    for _ in 0..2 {
        let error = connector.put_bytes(&large).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(error.to_string().contains("maxmemory"), "{error}");
        assert_eq!(key_count(&server), 1, "chunks that came through are gone");
    }
    let many = vec![Payload::from_bytes(&large[..900_000]); 40];
    let error = connector.put_batch(&many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(key_count(&server), 1, "all or none");
    assert_eq!(connector.get_vec(&kept).unwrap().unwrap(), b"kept");
    let small = connector.put_bytes(b"small again").unwrap();
    assert!(connector.exists(&small).unwrap());
}

/// It queues no command of a transaction then, not even one that makes room.
#[test]
fn a_full_server_lets_objects_go() {
    let server = RedisServer::start(&["--maxmemory", "20mb", "--maxmemory-policy", "noeviction"]);
    let connector = connect(&server);
    let mut keys = vec![connector.put_bytes(&content(LARGE, 1)).unwrap()];
    while let Ok(key) = connector.put_bytes(&content(200_000, 2)) {
        keys.push(key);
        assert!(keys.len() < 1000, "it is never full");
    }
    connector.evict(&keys[0]).unwrap();
    connector.evict_batch(&keys[1..]).unwrap();
    assert_eq!(key_count(&server), 0);
}

#[test]
fn a_key_that_holds_something_else_is_refused() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    let key = Key::new("list").unwrap();
    let _ = server.ask(&["RPUSH", "proxystore:list", "item"]);
    let error = connector.get(&key, Access::Auto).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey, "{error}");
    assert!(connector.ping().is_ok());
}

#[test]
fn a_replica_is_refused_with_advice() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    let _ = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = connector.put_bytes(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("master"), "{error}");
}
