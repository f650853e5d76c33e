//! Whose keys are whose, and what stands under them.

use super::*;
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use std::io::{Read, Write};

#[test]
fn passwords_users_and_databases() {
    let server = RedisServer::start(&["--requirepass", "hunter2"]);
    let with = |user: Option<&str>, password: Option<&str>, db| {
        let mut config = config(&server).db(db);
        config.username = user.map(str::to_owned);
        config.password = password.map(str::to_owned);
        RedisConnector::connect(config)
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
    let of =
        |namespace: &str| RedisConnector::connect(config(&server).namespace(namespace)).unwrap();
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

    let with = RedisConnector::connect(config(&server).bare_keys(true)).unwrap();
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
