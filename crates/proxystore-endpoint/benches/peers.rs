//! Peers on loopback, both ends in this process: gets over every way, beside plain TCP.
//!
//! ```bash
//! cargo bench -p proxystore-endpoint --features daemon --bench peers
//! ```
//!
//! Rounds are interleaved, so that the machine's load falls on all alike. One line of JSON for each figure, in
//! milliseconds; both ends share the processors.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/peers/site.rs"]
#[allow(dead_code)]
mod site;

use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::{PeersConfig, RelayAccess};
use proxystore_endpoint::relay::{Admission, Relay, RelayConfig};
use proxystore_endpoint::remote::{PeerName, Remote};
use site::{Shelf, Site, pattern};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LARGE: usize = 100_000_000;
const ROUNDS: usize = 9;
const SMALL_ROUNDS: usize = 400;

/// What sets one way apart from the others.
type Setting<'a> = (Option<&'a RelayAccess>, fn(&mut PeersConfig));

struct Way {
    name: &'static str,
    here: Site,
    there: PeerName,
    _there: Site,
    large: Vec<f64>,
    small: Vec<f64>,
    cold: Vec<f64>,
}

impl Way {
    async fn new(
        name: &'static str,
        relay: Option<&RelayAccess>,
        change: fn(&mut PeersConfig),
    ) -> Self {
        let (here, there) = pair(relay, change).await;
        if relay.is_some() {
            while there.peers.relay().as_deref() != Some("connected") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        there.shelf.put("large", pattern(LARGE)).unwrap();
        there.shelf.put("small", pattern(1000)).unwrap();
        let name_there = there.name();
        let (large, small, cold) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            name,
            here,
            there: name_there,
            _there: there,
            large,
            small,
            cold,
        }
    }

    async fn get(&self, key: &str) -> f64 {
        let started = Instant::now();
        let object = self
            .here
            .peers
            .get(&self.there, key)
            .await
            .unwrap()
            .unwrap();
        let took = milliseconds(started);
        assert!(!object.is_empty());
        took
    }
}

async fn pair(relay: Option<&RelayAccess>, change: fn(&mut PeersConfig)) -> (Site, Site) {
    let site = || {
        Site::with(Shelf::default(), |config| {
            config.relay = relay.cloned();
            change(config);
        })
    };
    let (here, there) = (site().await, site().await);
    here.befriend(&there);
    (here, there)
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

fn report(way: &str, figure: &str, value: f64) {
    println!("{{\"way\": \"{way}\", \"figure\": \"{figure}\", \"milliseconds\": {value:.3}}}");
}

/// A get over plain TCP: one byte asks for everything.
async fn plain() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let bytes = pattern(LARGE);
    tokio::spawn(async move {
        while server.read_u8().await.is_ok() {
            server.write_all(bytes.as_slice()).await.unwrap();
        }
    });
    client
}

/// How long a small get takes while large ones go on.
async fn beside(way: &Way) -> Vec<f64> {
    let over = Arc::new(AtomicBool::new(false));
    let (peers, there, ended) = (
        Arc::clone(&way.here.peers),
        way.there.clone(),
        Arc::clone(&over),
    );
    let bulk = tokio::spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            peers.get(&there, "large").await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut times = Vec::new();
    for _ in 0..300 {
        times.push(way.get("small").await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    over.store(true, Ordering::Relaxed);
    bulk.await.unwrap();
    times
}

async fn measure() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let relay = RelayConfig {
        listen,
        tls: None,
        admission: Admission::default(),
    };
    let relay = Relay::start(relay).await.unwrap();
    let url = format!("http://{}", relay.address().unwrap());
    let access = RelayAccess {
        url,
        token: None,
        roots: None,
    };
    let mut ways = [
        Way::new("tls", None, |config| config.quic = false).await,
        Way::new("quic", None, |config| config.tls = false).await,
        Way::new("relay", Some(&access), |config| config.relay_only = true).await,
    ];
    let (mut tcp, mut raw, mut buffer) = (plain().await, Vec::new(), vec![0; LARGE]);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        tcp.write_u8(1).await.unwrap();
        tcp.read_exact(&mut buffer).await.unwrap();
        raw.push(milliseconds(started));
        for way in &mut ways {
            let took = way.get("large").await;
            way.large.push(took);
            for _ in 0..SMALL_ROUNDS / ROUNDS {
                let took = way.get("small").await;
                way.small.push(took);
            }
        }
    }
    let settings: [Setting<'_>; 3] = [
        (None, |config| config.quic = false),
        (None, |config| config.tls = false),
        (Some(&access), |config| config.relay_only = true),
    ];
    for _ in 0..5 {
        for (way, (relay, change)) in ways.iter_mut().zip(settings) {
            let (here, there) = pair(relay, change).await;
            there.shelf.put("small", pattern(1000)).unwrap();
            if relay.is_some() {
                for site in [&here, &there] {
                    while site.peers.relay().as_deref() != Some("connected") {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            let started = Instant::now();
            here.peers
                .get(&there.name(), "small")
                .await
                .unwrap()
                .unwrap();
            way.cold.push(milliseconds(started));
        }
    }
    report("plain tcp", "100 MB, median", quantile(&mut raw, 0.5));
    for way in &mut ways {
        let mut times = beside(way).await;
        report(way.name, "100 MB, median", quantile(&mut way.large, 0.5));
        report(way.name, "1 kB, median", quantile(&mut way.small, 0.5));
        report(
            way.name,
            "1 kB from a peer not yet connected, median",
            quantile(&mut way.cold, 0.5),
        );
        report(
            way.name,
            "1 kB beside 100 MB, median",
            quantile(&mut times, 0.5),
        );
        report(
            way.name,
            "1 kB beside 100 MB, 99 of 100",
            quantile(&mut times, 0.99),
        );
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}
