//! What only the Redis connector does, against real servers.
#![allow(clippy::unwrap_used)] // in what the tests share

use proxystore::connectors::redis::{RedisConfig, RedisConnector};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use proxystore_testkit::RedisServer;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Above the size at which values are cut.
const LARGE: usize = 5_000_000;
/// The server's keys of such a value: ten chunks and a head.
const KEYS_OF_LARGE: usize = 11;

fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig {
        port: server.port(),
        ..RedisConfig::default()
    }
}

fn connect(server: &RedisServer) -> RedisConnector {
    RedisConnector::connect(config(server)).unwrap()
}

fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ seed).collect()
}

fn key_count(server: &RedisServer) -> usize {
    server.ask(&["DBSIZE"]).parse().unwrap()
}

#[test]
fn a_server_that_is_not_there_is_named_with_advice() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = RedisConnector::connect(RedisConfig {
        port,
        password: Some("hunter2".to_owned()),
        ..RedisConfig::default()
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(
        text.contains(&format!("redis-cli -h 127.0.0.1 -p {port} ping")),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");

    let error = RedisConnector::connect(RedisConfig {
        unix_socket: Some("/nonexistent/socket".into()),
        ..RedisConfig::default()
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("redis-cli -s /nonexistent/socket ping"),
        "{error}"
    );

    let error = RedisConnector::connect(RedisConfig {
        host: "no-such-host.invalid".to_owned(),
        ..RedisConfig::default()
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

/// A listener that never answers, as a machine behind a firewall.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn silence_ends_with_the_timeout() {
    let listener = silent();
    let config = RedisConfig {
        port: listener.local_addr().unwrap().port(),
        timeout: Duration::from_millis(200),
        ..RedisConfig::default()
    };
    let start = Instant::now();
    let error = RedisConnector::connect(config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("0.2 s"), "{error}");

    // The introduction counts as connecting.
    let config = RedisConfig {
        password: Some("x".to_owned()),
        connect_timeout: Duration::from_millis(200),
        timeout: Duration::from_secs(60),
        ..config
    };
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
    let error = RedisConnector::connect(RedisConfig {
        port,
        ..RedisConfig::default()
    })
    .unwrap_err();
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
fn passwords_users_and_databases() {
    let server = RedisServer::start(&["--requirepass", "hunter2"]);
    let with = |user: Option<&str>, password: Option<&str>, db| {
        RedisConnector::connect(RedisConfig {
            username: user.map(str::to_owned),
            password: password.map(str::to_owned),
            db,
            ..config(&server)
        })
    };
    let right = with(None, Some("hunter2"), 0).unwrap();
    assert!(!format!("{right:?} {right}").contains("hunter2"));

    let error = with(None, None, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("`password`"), "{error}");
    for wrong in [
        with(None, Some("guess"), 0),
        with(Some("me"), Some("hunter2"), 0),
    ] {
        let error = wrong.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    let _ = server.ask(&[
        "ACL",
        "SETUSER",
        "me",
        "on",
        ">pass",
        "~proxystore:*",
        "+@all",
    ]);
    let mine = with(Some("me"), Some("pass"), 2).unwrap();
    let key = mine.put_bytes(b"in database 2").unwrap();
    assert_eq!(mine.get_vec(&key).unwrap().unwrap(), b"in database 2");
    assert!(right.get_vec(&key).unwrap().is_none(), "database 0");

    let error = with(None, Some("hunter2"), 999).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("`db`"), "{error}");
}

#[test]
fn clearing_leaves_what_is_not_ours() {
    let server = RedisServer::start(&[]);
    let of = |namespace: &str| {
        RedisConnector::connect(RedisConfig {
            namespace: namespace.to_owned(),
            ..config(&server)
        })
        .unwrap()
    };
    let names = ["proxystore", "proxystore2", "a*", "ab", "a[b]", "a\\", "a?"];
    let stores: Vec<_> = names.map(of).into();
    let keys: Vec<_> = stores
        .iter()
        .map(|store| {
            [
                store.put_bytes(b"x").unwrap(),
                store.put_bytes(&content(LARGE, 1)).unwrap(),
            ]
        })
        .collect();
    let _ = server.ask(&["SET", "foreign", "theirs"]);
    let _ = server.ask(&["SET", "proxystore", "theirs as well"]);
    for (at, store) in stores.iter().enumerate() {
        store.close(true).unwrap();
        assert_eq!(store.ping().unwrap_err().kind(), ErrorKind::Closed);
        for (other, keys) in keys.iter().enumerate() {
            let reader = of(names[other]);
            for key in keys {
                assert_eq!(
                    reader.exists(key).unwrap(),
                    other > at,
                    "{} by {}",
                    names[other],
                    names[at]
                );
            }
        }
    }
    assert_eq!(server.ask(&["GET", "foreign"]), "theirs");
    assert_eq!(
        key_count(&server),
        2,
        "nothing of ours is left, chunks included"
    );
}

#[test]
fn no_way_of_removing_an_object_leaves_chunks() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    let (large, small) = (content(LARGE, 1), content(10, 2));
    let key = connector.put_bytes(&large).unwrap();
    assert_eq!(key_count(&server), KEYS_OF_LARGE);
    connector.evict(&key).unwrap();
    assert_eq!(key_count(&server), 0);

    let key = connector.new_key();
    for value in [&large, &small, &large, &large, &small] {
        connector.set(&key, &Payload::from_bytes(value)).unwrap();
        let wanted = if value.len() == LARGE {
            KEYS_OF_LARGE
        } else {
            1
        };
        assert_eq!(key_count(&server), wanted);
    }
    connector.evict_batch(&[key]).unwrap();

    let payloads = [&large, &small, &large].map(|value| Payload::from_bytes(value));
    let keys = connector.put_batch(&payloads).unwrap();
    assert_eq!(key_count(&server), 2 * KEYS_OF_LARGE + 1);
    connector.evict_batch(&keys).unwrap();
    assert_eq!(key_count(&server), 0);
    assert_eq!(server.ask(&["INFO", "keyspace"]).trim(), "# Keyspace");
}

#[test]
fn chunks_do_not_expire_once_their_object_is_there() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    connector.put_bytes(&content(LARGE, 1)).unwrap();
    let names = server.ask(&["KEYS", "*"]);
    assert_eq!(names.lines().count(), KEYS_OF_LARGE);
    for name in names.lines() {
        assert_eq!(server.ask(&["TTL", name]), "-1", "{name}");
    }
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
fn values_that_look_like_a_head_are_values() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    connector.put_bytes(&content(LARGE, 1)).unwrap();
    let names = server.ask(&["KEYS", "*"]);
    let head = names.lines().find(|name| !name.contains('/')).unwrap();
    let head = connector_key(head);
    // Read the stored head itself, through a connector that sees it as a bare key's value.
    let raw = raw_value(&server, &head);
    assert_eq!(raw.len(), 56);
    let key = connector.put_bytes(&raw).unwrap();
    assert_eq!(connector.get_vec(&key).unwrap().unwrap(), raw);
    let keys = connector.put_batch(&[Payload::from_bytes(&raw)]).unwrap();
    let blobs = connector.get_batch(&keys, Access::Auto).unwrap();
    assert_eq!(blobs[0].as_deref(), Some(&raw[..]));
}

fn connector_key(name: &str) -> Key {
    Key::new(name.strip_prefix("proxystore:").unwrap()).unwrap()
}

/// The bytes under a key of ours, asked for without our client.
fn raw_value(server: &RedisServer, key: &Key) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let name = format!("proxystore:{key}");
    write!(stream, "*2\r\n$3\r\nGET\r\n${}\r\n{name}\r\n", name.len()).unwrap();
    let mut answer = vec![0; 5 + 56 + 2];
    stream.read_exact(&mut answer).unwrap();
    answer[5..61].to_vec()
}

#[test]
fn bare_keys_of_version_1_are_found_when_asked_for() {
    let server = RedisServer::start(&[]);
    let bare = Key::new("9f0cdd9e-8a1c-4a57-9b8e-6a4b8a3f8f0d").unwrap();
    let _ = server.ask(&["SET", bare.as_str(), "BS\nhello"]);
    let without = connect(&server);
    assert!(without.get_vec(&bare).unwrap().is_none());
    assert!(!without.exists(&bare).unwrap());
    without.evict(&bare).unwrap();

    let with = RedisConnector::connect(RedisConfig {
        bare_keys: true,
        ..config(&server)
    })
    .unwrap();
    assert_eq!(with.get_vec(&bare).unwrap().unwrap(), b"BS\nhello");
    assert!(with.exists(&bare).unwrap());
    let ours = with.put_bytes(b"ours").unwrap();
    let found = with
        .get_batch(&[ours.clone(), bare.clone(), Key::fresh()], Access::Auto)
        .unwrap();
    let found: Vec<_> = found.iter().map(|blob| blob.as_deref()).collect();
    assert_eq!(found, [Some(&b"ours"[..]), Some(b"BS\nhello"), None]);
    assert_eq!(
        server.ask(&["EXISTS", ours.as_str()]),
        "0",
        "put under the namespace"
    );
    with.evict(&bare).unwrap();
    assert_eq!(server.ask(&["EXISTS", bare.as_str()]), "0");
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

#[test]
fn one_thread_needs_one_connection() {
    let server = RedisServer::start(&[]);
    let connector = connect(&server);
    for _ in 0..20 {
        let key = connector.put_bytes(&content(LARGE, 3)).unwrap();
        connector.get(&key, Access::Auto).unwrap();
        connector.exists(&key).unwrap();
        connector
            .get_batch(&[key.clone(), Key::fresh()], Access::Auto)
            .unwrap();
        connector.evict(&key).unwrap();
    }
    let clients = server.ask(&["CLIENT", "LIST"]);
    assert_eq!(
        clients.lines().filter(|line| !line.is_empty()).count(),
        2,
        "ours and this one"
    );
    connector.close(false).unwrap();
    let clients = server.ask(&["CLIENT", "LIST"]);
    assert_eq!(clients.lines().filter(|line| !line.is_empty()).count(), 1);
}

#[test]
fn urls_open_it() {
    let server = RedisServer::start(&[]);
    let (port, socket) = (server.port(), server.socket());
    for url in [
        format!("redis://localhost:{port}/1?namespace=team&timeout=20"),
        format!("redis+unix://{}?db=1&namespace=team", socket.display()),
    ] {
        let connector = proxystore::open(&url).unwrap();
        let key = connector.put_bytes(b"by URL").unwrap();
        assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"by URL");
        assert_eq!(connector.kind(), "redis");
    }
    let error = proxystore::open(&format!("redis://localhost:{port}?timeuot=1")).unwrap_err();
    assert!(
        error.to_string().contains("did you mean `timeout`?"),
        "{error}"
    );
}

/// Above the 512 MB that one value of Redis's may have.
#[test]
fn an_object_above_the_limit_of_a_value() {
    let server = RedisServer::start(&["--proto-max-bulk-len", "2mb"]);
    let connector = connect(&server);
    let value = content(30_000_000, 5);
    let key = connector.put_bytes(&value).unwrap();
    let blob = connector.get(&key, Access::Auto).unwrap().unwrap();
    assert!(blob[..] == value[..]);
    connector.evict(&key).unwrap();
    assert_eq!(key_count(&server), 0);
}
