//! Who may come in, and what those hear who may not.

use super::site::{Shelf, Site, pattern};
use proxystore::ErrorKind;
use proxystore_endpoint::identity::SecretKey;
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::PeersConfig;
use proxystore_endpoint::remote::{Allowed, PeerName, Remote};
use std::time::{Duration, Instant};

const TLS: fn(&mut PeersConfig) = |config| config.quic = false;
const QUIC: fn(&mut PeersConfig) = |config| config.tls = false;

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_not_on_the_list_is_told_within_a_second_and_so_are_we() {
    for change in [TLS, QUIC, |_: &mut PeersConfig| {}] {
        let (here, there) = (
            Site::with(Shelf::default(), change).await,
            Site::with(Shelf::default(), change).await,
        );
        here.peers.add(there.entry(true)).unwrap();
        let started = Instant::now();
        let error = here.peers.get(&there.name(), "key").await.unwrap_err();
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(
            error.to_string().contains("not on its list of peers"),
            "{error}"
        );
        assert!(error.to_string().contains(&here.peers.key()), "{error}");
        assert!(there.said(&format!("refused {}", here.peers.key())));
        assert!(there.said("proxystore-endpoint peer add"));
        // Once it is on the list, nothing has to be started anew.
        there.peers.add(here.entry(false)).unwrap();
        there.shelf.put("key", pattern(10)).unwrap();
        assert_eq!(
            here.peers
                .get(&there.name(), "key")
                .await
                .unwrap()
                .unwrap()
                .len(),
            10
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_taken_off_the_list_loses_open_connections() {
    for change in [TLS, QUIC] {
        let (here, there) = (
            Site::with(Shelf::default(), change).await,
            Site::with(Shelf::default(), change).await,
        );
        here.befriend(&there);
        assert!(!here.peers.exists(&there.name(), "key").await.unwrap());
        assert!(there.peers.remove(&here.name()).unwrap());
        assert!(!there.peers.remove(&here.name()).unwrap());
        let error = here.peers.exists(&there.name(), "key").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_list_counts_at_once_and_a_spoilt_one_changes_nothing() {
    let (here, there) = (Site::new().await, Site::new().await);
    here.befriend(&there);
    let text = std::fs::read_to_string(&there.config.list).unwrap();
    std::fs::write(&there.config.list, "[[peer]\n").unwrap();
    assert!(!here.peers.exists(&there.name(), "key").await.unwrap());
    std::fs::write(&there.config.list, "").unwrap();
    let error = here.peers.exists(&there.name(), "key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    std::fs::write(&there.config.list, text).unwrap();
    assert!(!here.peers.exists(&there.name(), "key").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_at_the_address_is_told_on_both_sides_within_a_second() {
    for change in [TLS, QUIC, |_: &mut PeersConfig| {}] {
        let (here, there) = (
            Site::with(Shelf::default(), change).await,
            Site::with(Shelf::default(), change).await,
        );
        here.befriend(&there);
        let other = SecretKey::generate().public();
        let impostor = Allowed {
            key: other.to_string(),
            ..there.entry(true)
        };
        here.peers.add(impostor).unwrap();
        let started = Instant::now();
        let name = PeerName::new(&other.to_string()).unwrap();
        let error = here.peers.get(&name, "key").await.unwrap_err();
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let words = error.to_string();
        assert!(
            words.contains(&format!("another key than {other}")),
            "{words}"
        );
        assert!(words.contains("127.0.0.1:"), "{words}");
        // The other side hears of it when the alert has come.
        let said = format!("another key than ours, {}", there.peers.key());
        while !there.said(&said) {
            assert!(
                started.elapsed() < Duration::from_secs(1),
                "nothing was said there"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Those who look for the right one are served.
        assert!(!here.peers.exists(&there.name(), "key").await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_nobody_has_and_keys_that_are_none() {
    let here = Site::new().await;
    let name = PeerName::new("00000000-0000-4000-8000-000000000000").unwrap();
    let error = here.peers.get(&name, "key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("peer add"), "{error}");
    let bad = |key: &str, uuid: Option<&str>, address: &str| Allowed {
        key: key.to_owned(),
        uuid: uuid.map(str::to_owned),
        label: None,
        addresses: vec![address.to_owned()],
    };
    let (key, twin) = (here.peers.key(), SecretKey::generate().public().to_string());
    let uuid = "00000000-0000-4000-8000-000000000001";
    for wrong in [
        bad("abc", None, "host:1"),
        bad(&key, Some("xyz"), "host:1"),
        bad(&key, None, "host"),
        bad(&key, None, "host:0"),
        bad(&key, None, ":1"),
    ] {
        let error = here.peers.add(wrong.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{wrong:?}");
    }
    here.peers.add(bad(&key, Some(uuid), "host:1")).unwrap();
    let error = here
        .peers
        .add(bad(&twin, Some(uuid), "host:1"))
        .unwrap_err();
    assert!(error.to_string().contains("stands for the key"), "{error}");
}
