//! Bad luck: peers that vanish, come back, are full, or are talked to by something that is no peer.

use super::cable::Cable;
use super::process::{Process, SIZE};
use super::site::{Shelf, Site, pattern};
use proxystore::ErrorKind;
use proxystore_endpoint::object::Object;
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::PeersConfig;
use proxystore_endpoint::remote::{Allowed, PeerName, Remote};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::sleep;

const TLS: fn(&mut PeersConfig) = |config| config.quic = false;
const QUIC: fn(&mut PeersConfig) = |config| config.tls = false;

/// Two sites with a cable between them, and an object at the far end.
async fn cabled(change: fn(&mut PeersConfig)) -> (Site, Site, Cable) {
    let (here, there) = (
        Site::with(Shelf::default(), change).await,
        Site::with(Shelf::default(), change).await,
    );
    let cable = Cable::to(there.peers.addresses()[0]).await;
    let entry = Allowed {
        addresses: vec![cable.address.to_string()],
        ..there.entry(false)
    };
    here.peers.add(entry).unwrap();
    there.peers.add(here.entry(false)).unwrap();
    there.shelf.put("key", pattern(SIZE)).unwrap();
    (here, there, cable)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanishes_in_the_middle_of_a_get_is_an_error_within_ten_seconds() {
    let (here, there, cable) = cabled(TLS).await;
    cable.cut_after(SIZE as u64 / 3);
    let (name, peers) = (there.name(), Arc::clone(&here.peers));
    let got = tokio::spawn(async move { peers.get(&name, "key").await });
    cable.until_cut().await;
    gone(got).await;
    // QUIC finds its way round a cable: there the other process is stopped.
    let here = Site::with(Shelf::default(), QUIC).await;
    let (process, got) = interrupted(&here, "vanishes").await;
    gone(got).await;
    drop(process);
}

type Getting = tokio::task::JoinHandle<proxystore::Result<Option<Object>>>;

async fn gone(got: Getting) {
    let started = Instant::now();
    let error = got.await.unwrap().unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains("went away in the middle"),
        "{error}"
    );
}

/// A get that is under way from a process that was stopped.
async fn interrupted(here: &Site, name: &str) -> (Process, Getting) {
    let process = Process::start(name, &here.peers.key());
    here.peers.add(process.entry()).unwrap();
    let peer = PeerName::new(&process.key.to_string()).unwrap();
    let peers = Arc::clone(&here.peers);
    let got = tokio::spawn(async move { peers.get(&peer, "key").await });
    while here.peers.status()[0].rate == 0.0 {
        assert!(!got.is_finished(), "it is over before it was stopped");
        sleep(Duration::from_millis(1)).await;
    }
    process.signal(libc::SIGSTOP);
    (process, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_goes_on_where_it_was_when_the_peer_is_back_in_time() {
    let (here, there, cable) = cabled(TLS).await;
    cable.cut_after(SIZE as u64 * 2 / 3);
    let (name, peers) = (there.name(), Arc::clone(&here.peers));
    let got = tokio::spawn(async move { peers.get(&name, "key").await });
    cable.until_cut().await;
    sleep(Duration::from_secs(4)).await;
    cable.mend();
    assert!(got.await.unwrap().unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
    // What had come was not fetched again.
    let bytes = cable.bytes();
    assert!(bytes < SIZE as u64 * 16 / 10, "{bytes} bytes for {SIZE}");
    let here = Site::with(Shelf::default(), QUIC).await;
    let (process, got) = interrupted(&here, "back").await;
    sleep(Duration::from_secs(4)).await;
    process.signal(libc::SIGCONT);
    assert!(got.await.unwrap().unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_survives_a_restart_of_the_peer() {
    let (here, mut there, cable) = cabled(TLS).await;
    cable.cut_after(SIZE as u64 * 2 / 3);
    let (name, peers) = (there.name(), Arc::clone(&here.peers));
    let got = tokio::spawn(async move { peers.get(&name, "key").await });
    cable.until_cut().await;
    there.restart().await;
    cable.mend();
    assert!(got.await.unwrap().unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
    let bytes = cable.bytes();
    assert!(bytes < SIZE as u64 * 16 / 10, "{bytes} bytes for {SIZE}");
    let here = Site::with(Shelf::default(), QUIC).await;
    let (mut process, got) = interrupted(&here, "restarted").await;
    process.restart();
    assert!(got.await.unwrap().unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_after_a_restart_is_fetched_as_a_whole() {
    let (here, mut there, cable) = cabled(TLS).await;
    cable.cut_after(SIZE as u64 / 2);
    let name = there.name();
    let peers = Arc::clone(&here.peers);
    let got = tokio::spawn(async move { peers.get(&name, "key").await });
    cable.until_cut().await;
    let mut other = pattern(SIZE).as_slice().to_vec();
    other[10] ^= 1;
    let other = Object::copy_from(&other).unwrap();
    there.shelf.put("key", other.clone()).unwrap();
    there.restart().await;
    cable.mend();
    assert!(got.await.unwrap().unwrap().unwrap().as_slice() == other.as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_damaged_on_the_way_are_fetched_again() {
    let (here, there, cable) = cabled(TLS).await;
    cable.flip_after(SIZE as u64 / 2);
    let got = here.peers.get(&there.name(), "key").await;
    assert!(cable.has_flipped());
    assert!(got.unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
    // The connection ended there; what had come by the others was not fetched again.
    let bytes = cable.bytes();
    assert!(bytes < SIZE as u64 * 16 / 10, "{bytes} bytes for {SIZE}");
    let (name, peers) = (there.name(), Arc::clone(&here.peers));
    cable.flip_after(SIZE as u64 / 2);
    peers.put(&name, "new", pattern(SIZE)).await.unwrap();
    assert!(cable.has_flipped());
    assert!(there.shelf.get("new").unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_goes_on_when_the_peer_is_back_in_time() {
    let (here, there, cable) = cabled(TLS).await;
    cable.cut_after(SIZE as u64 / 2);
    let (name, peers) = (there.name(), Arc::clone(&here.peers));
    let put = tokio::spawn(async move { peers.put(&name, "new", pattern(SIZE)).await });
    cable.until_cut().await;
    sleep(Duration::from_secs(1)).await;
    cable.mend();
    put.await.unwrap().unwrap();
    assert!(there.shelf.get("new").unwrap().unwrap().as_slice() == pattern(SIZE).as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_and_full_are_refused_in_words_and_before_the_upload() {
    for change in [TLS, QUIC] {
        let here = Site::with(Shelf::default(), change).await;
        let small = Shelf {
            limit: Some(100_000),
            ..Shelf::default()
        };
        let there = Site::with(small, change).await;
        let cable = Cable::to(there.peers.addresses()[0]).await;
        let entry = Allowed {
            addresses: vec![cable.address.to_string()],
            ..there.entry(false)
        };
        here.peers.add(entry).unwrap();
        there.peers.add(here.entry(false)).unwrap();
        let error = here
            .peers
            .put(&there.name(), "key", pattern(9_000_000))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains("100000"), "{error}");
        let error = here.peers.check(&there.name(), 100_001).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        here.peers.check(&there.name(), 100_000).await.unwrap();
        assert!(cable.bytes() < 100_000, "{} bytes went", cable.bytes());
        let full = Site::with(
            Shelf {
                full: true,
                ..Shelf::default()
            },
            change,
        )
        .await;
        here.befriend(&full);
        for size in [10, 3_000_000] {
            let error = here
                .peers
                .put(&full.name(), "key", pattern(size))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            assert!(error.to_string().contains("no space left"), "{error}");
        }
        assert!(
            !here.peers.exists(&full.name(), "key").await.unwrap(),
            "and it goes on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_an_error_that_names_it() {
    for change in [TLS, QUIC] {
        let (here, there, cable) = cabled(change).await;
        drop(cable);
        let started = Instant::now();
        let error = here.peers.get(&there.name(), "key").await.unwrap_err();
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{:?}",
            started.elapsed()
        );
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_aborted_connections_and_garbage_leave_the_others_served() {
    let (here, there) = (Site::new().await, Site::new().await);
    here.befriend(&there);
    there.shelf.put("key", pattern(1000)).unwrap();
    let target = there.peers.addresses()[0];
    assert!(
        here.peers
            .get(&there.name(), "key")
            .await
            .unwrap()
            .is_some()
    );
    let before = descriptors();
    let mut state = 0x1234_5678_u64;
    let mut garbage = move || -> Vec<u8> {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let length = (state >> 33) as usize % 700;
        (0..length)
            .map(|at| (state >> (at % 56)) as u8 ^ at as u8)
            .collect()
    };
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for round in 0..1000 {
        let mut stream = TcpStream::connect(target).await.unwrap();
        let bytes = garbage();
        match round % 4 {
            0 => {}
            1 => drop(stream.write_all(&bytes).await),
            2 => drop(
                stream
                    .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
                    .await,
            ),
            _ => drop(stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await),
        }
        let _ = udp.send_to(&bytes, target).await;
        if round % 100 == 0 {
            assert!(
                here.peers
                    .get(&there.name(), "key")
                    .await
                    .unwrap()
                    .is_some()
            );
        }
    }
    // Those who say nothing are sent away.
    let mut silent = TcpStream::connect(target).await.unwrap();
    let hung_up = tokio::time::timeout(Duration::from_secs(8), silent.read(&mut [0])).await;
    assert!(
        hung_up.is_ok(),
        "somebody who says nothing keeps a connection"
    );
    sleep(Duration::from_millis(500)).await;
    assert!(
        here.peers
            .get(&there.name(), "key")
            .await
            .unwrap()
            .is_some()
    );
    // Other tests of this process have descriptors too.
    assert!(
        descriptors() < before + 200,
        "{before} descriptors before, {} after",
        descriptors()
    );
}
