//! Endpoints that only a relay brings together, and relays that do not let them in.

use super::site::{Shelf, Site, pattern};
use proxystore::ErrorKind;
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::{PeersConfig, RelayAccess};
use proxystore_endpoint::relay::{Admission, Relay, RelayConfig, certificates};
use proxystore_endpoint::remote::{Path, Remote};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

async fn relay(admission: Admission) -> (Relay, RelayAccess) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let relay = Relay::start(RelayConfig {
        listen,
        tls: None,
        admission,
    })
    .await
    .unwrap();
    let url = format!("http://{}", relay.address().unwrap());
    (
        relay,
        RelayAccess {
            url,
            token: None,
            roots: None,
        },
    )
}

/// Two sites that know no address of each other.
async fn strangers(relay: &RelayAccess, change: fn(&mut PeersConfig)) -> (Site, Site) {
    let site = || {
        Site::with(Shelf::default(), |config| {
            config.relay = Some(relay.clone());
            change(config);
        })
    };
    let (here, there) = (site().await, site().await);
    here.peers.add(there.entry(false)).unwrap();
    there.peers.add(here.entry(false)).unwrap();
    (here, there)
}

async fn connected(site: &Site) {
    for _ in 0..100 {
        if site.peers.relay().as_deref() == Some("connected") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the relay: {:?}", site.peers.relay());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_alone_carries_objects_both_ways() {
    let (_relay, access) = relay(Admission::default()).await;
    let (here, there) = strangers(&access, |config| config.relay_only = true).await;
    connected(&there).await;
    let object = pattern(5_000_000);
    here.peers
        .put(&there.name(), "key", object.clone())
        .await
        .unwrap();
    let got = here.peers.get(&there.name(), "key").await.unwrap().unwrap();
    assert!(got.as_slice() == object.as_slice());
    assert_eq!(here.path_to(&there), Some(Path::Relay));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_https_with_a_private_authority() {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("relay-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("relay.pem"), folder.join("relay.key"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = RelayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some((certificate.clone(), key)),
        admission: Admission::default(),
    };
    let relay = Relay::start(config).await.unwrap();
    let access = RelayAccess {
        url: format!("https://localhost:{}", relay.address().unwrap().port()),
        token: None,
        roots: Some(certificates(&certificate).unwrap()),
    };
    let (here, there) = strangers(&access, |config| config.relay_only = true).await;
    connected(&there).await;
    there.shelf.put("key", pattern(300_000)).unwrap();
    assert_eq!(
        here.peers
            .get(&there.name(), "key")
            .await
            .unwrap()
            .unwrap()
            .len(),
        300_000
    );
    // Who does not trust the authority says so, and does not hang.
    let wary = RelayAccess {
        roots: None,
        ..access
    };
    let (distrustful, _) = strangers(&wary, |config| config.relay_only = true).await;
    distrustful.peers.add(there.entry(false)).unwrap();
    let started = Instant::now();
    let error = distrustful
        .peers
        .get(&there.name(), "key")
        .await
        .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(8), "{error}");
    assert!(
        error
            .to_string()
            .contains("signed by nobody who is trusted here"),
        "{error}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_met_at_the_relay_go_straight_and_do_not_miss_it() {
    let (relay, access) = relay(Admission::default()).await;
    let (here, there) = strangers(&access, |_| {}).await;
    connected(&there).await;
    there.shelf.put("key", pattern(3_000_000)).unwrap();
    let mut straight = false;
    for _ in 0..60 {
        assert_eq!(
            here.peers
                .get(&there.name(), "key")
                .await
                .unwrap()
                .unwrap()
                .len(),
            3_000_000
        );
        // First through the holes, then over the port that the peer has announced.
        straight = here.path_to(&there) == Some(Path::DirectTls);
        if straight {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(straight, "still by {:?}", here.path_to(&there));
    relay.stop().await;
    for _ in 0..5 {
        assert_eq!(
            here.peers
                .get(&there.name(), "key")
                .await
                .unwrap()
                .unwrap()
                .len(),
            3_000_000
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_says_why_within_a_second() {
    let token = |token: &str| Admission {
        keys: None,
        token: Some(token.to_owned()),
    };
    let (_relay, access) = relay(token("sesame")).await;
    let (here, there) = strangers(&access, |config| config.relay_only = true).await;
    let started = Instant::now();
    let error = here.peers.get(&there.name(), "key").await.unwrap_err();
    let took = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("asks for a token"), "{error}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(here.said("asks for a token"));
    let ways = here.peers.ways_in();
    assert!(
        ways.iter().any(|(_, how)| how.contains("asks for a token")),
        "{ways:?}"
    );
    // With the word it goes.
    let knowing = RelayAccess {
        token: Some("sesame".into()),
        ..access
    };
    let (here, there) = strangers(&knowing, |config| config.relay_only = true).await;
    connected(&there).await;
    assert!(
        here.peers
            .get(&there.name(), "key")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_not_there_is_named() {
    let access = RelayAccess {
        url: "http://127.0.0.1:9".into(),
        token: None,
        roots: None,
    };
    let (here, there) = strangers(&access, |config| config.relay_only = true).await;
    let started = Instant::now();
    let error = here.peers.get(&there.name(), "key").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(8));
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
    assert!(error.to_string().contains("nobody answers"), "{error}");
}
