//! Places, sessions, and what others put in the way.

use crate::places::{Places, names, user_directory};
use proxystore::connectors::shared_memory::{SharedMemoryConnector, sessions};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

#[test]
fn connectors_of_a_program_share_a_session_but_no_place() {
    let places = Places::new();
    let (first, second) = (places.connector(), places.connector());
    assert_eq!(first.session().name, second.session().name);
    assert_ne!(first.session().place, second.session().place);
    let (mine, other) = (
        first.put_bytes(b"1").unwrap(),
        second.put_bytes(b"2").unwrap(),
    );
    assert!(!second.exists(&mine).unwrap());
    first.close(true).unwrap();
    first.close(true).unwrap();
    assert!(!first.exists(&mine).unwrap());
    assert_eq!(second.get_vec(&other).unwrap().unwrap(), b"2");
    assert_eq!(first.put_bytes(b"3").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn one_joins_more_than_once_and_lets_go_once_each() {
    let places = Places::new();
    let maker = places.connector();
    let key = maker.put_bytes(b"x").unwrap();
    let joined: Vec<_> = (0..3)
        .map(|_| SharedMemoryConnector::join(maker.session()).unwrap())
        .collect();
    drop(maker);
    for connector in joined {
        assert!(connector.exists(&key).unwrap());
        let all = sessions(Some(&places.memory)).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].holders.len(), 1);
        assert_eq!(all[0].holders[0].pid, std::process::id());
        assert!(all[0].usage.used >= 4096);
    }
    // This process made it, so it holds it without a connector, too.
    assert_eq!(sessions(Some(&places.memory)).unwrap()[0].holders.len(), 1);
}

#[test]
fn another_limit_is_another_session() {
    let places = Places::new();
    let first = places.connector();
    let config = places.config().limit(12_345_678);
    let second = SharedMemoryConnector::create(config).unwrap();
    assert_eq!(second.usage().limit, 12_345_678);
    assert_ne!(first.session().name, second.session().name);
    let named = places.config().session(second.session().name.clone());
    let third = SharedMemoryConnector::create(named).unwrap();
    assert_eq!(third.session().name, second.session().name);
    let unknown = places.config().session(Key::fresh().to_string());
    let error = SharedMemoryConnector::create(unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_cleared_place_is_made_again_by_a_put() {
    let places = Places::new();
    let (first, second) = (places.connector(), places.connector());
    let joined = SharedMemoryConnector::join(first.session()).unwrap();
    first.close(true).unwrap();
    let key = joined.put_bytes(b"x").unwrap();
    assert_eq!(joined.get_vec(&key).unwrap().unwrap(), b"x");
    // But a session that is gone is not: nobody would hold it.
    std::fs::remove_dir_all(user_directory(&places.memory).join(&second.session().name)).unwrap();
    assert!(second.put_bytes(b"x").is_err());
    assert!(second.put_bytes(&vec![0; 1 << 20]).is_err());
}

#[test]
fn somewhere_else_is_an_error_that_says_where() {
    let places = Places::new();
    let connector = places.connector();
    let session = connector.session();
    let parts: Vec<_> = session.origin.rsplitn(4, ':').collect();
    let (user, mount, boot, host) = (parts[0], parts[1], parts[2], parts[3]);

    let mut other_host = session.clone();
    other_host.origin = format!("node17:000000000000:{mount}:{user}");
    let mut other_container = session.clone();
    other_container.origin = format!("{host}:{boot}:ffff:{user}");
    for (there, word) in [
        (other_host, "node17"),
        (other_container, "another container"),
    ] {
        let error = SharedMemoryConnector::join(&there).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongHost);
        for word in [word, "redis", "file", "endpoint"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    let mut ended = session.clone();
    ended.name = Key::fresh().to_string();
    let error = SharedMemoryConnector::join(&ended).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_session_from_elsewhere_cannot_lead_out_of_its_directory() {
    let places = Places::new();
    let connector = places.connector();
    let spoil = |change: fn(&mut proxystore::connectors::shared_memory::Session)| {
        let mut session = connector.session().clone();
        change(&mut session);
        SharedMemoryConnector::join(&session).unwrap_err().kind()
    };
    assert_eq!(
        spoil(|s| s.name = "../../etc".to_owned()),
        ErrorKind::InvalidConfig
    );
    assert_eq!(
        spoil(|s| s.place = "..".to_owned()),
        ErrorKind::InvalidConfig
    );
    assert_eq!(spoil(|s| s.dir = "shm".into()), ErrorKind::InvalidConfig);
    assert_eq!(
        spoil(|s| s.origin = "x".to_owned()),
        ErrorKind::InvalidConfig
    );
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let places = Places::new();
    let elsewhere = places.disk.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, user_directory(&places.memory)).unwrap();
    let error = SharedMemoryConnector::create(places.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("PROXYSTORE_SHM_DIR"), "{error}");
    assert!(names(&elsewhere).is_empty());
}

#[test]
fn a_directory_of_another_user_is_not_trusted() {
    let places = Places::new();
    let path = user_directory(&places.memory);
    std::fs::create_dir(&path).unwrap();
    // SAFETY: no more than a number comes back.
    if unsafe { libc::geteuid() } == 0 {
        chown(&path, Some(65534), None).unwrap();
        let error = SharedMemoryConnector::create(places.config()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(
            error.to_string().contains("belongs to user 65534"),
            "{error}"
        );
    } else {
        // Without the right to give a directory away, root's own one serves.
        let mut session = places.connector().session().clone();
        let origin = session.origin.rsplit_once(':').unwrap().0.to_owned();
        session.origin = format!("{origin}:0");
        assert!(SharedMemoryConnector::join(&session).is_err());
    }
}

#[test]
fn an_open_directory_is_made_private() {
    let places = Places::new();
    let path = user_directory(&places.memory);
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let connector = places.connector();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let key = connector.put_bytes(b"x").unwrap();
    assert!(connector.get(&key, Access::View).unwrap().is_some());
}

#[test]
fn files_of_others_in_the_user_directory_stay() {
    let places = Places::new();
    let path = user_directory(&places.memory);
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("notes.lock"), "").unwrap();
    std::fs::create_dir(path.join("notes")).unwrap();
    drop(places.connector());
    let left = names(&path);
    assert!(left.contains(&"notes".to_owned()) && left.contains(&"notes.lock".to_owned()));
}
