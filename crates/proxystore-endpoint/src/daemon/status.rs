//! What a daemon knows of itself.

use crate::objects::Objects;
use crate::remote::{PeerStatus, Remote};
use crate::storage::Storage;
use crate::wire::Record;
use proxystore::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// What all connections share.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) host: String,
    pub(super) started: SystemTime,
    pub(super) objects: Arc<Storage>,
    pub(super) remote: Option<Arc<dyn Remote>>,
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    /// Connections that ended with an error.
    pub(super) refused: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Service {
    pub(super) fn shared_objects(&self) -> Arc<dyn Objects> {
        Arc::clone(&self.objects) as Arc<dyn Objects>
    }

    pub(super) fn known_remote(&self) -> Result<Arc<dyn Remote>> {
        self.remote.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the endpoint {} has no peers: `[peers] enabled` in its config.toml is false",
                    self.name
                ),
            )
        })
    }

    /// Whether a peer's name is our own.
    pub(super) fn is_me(&self, peer: &str) -> bool {
        peer.eq_ignore_ascii_case(&self.uuid)
            || self
                .remote
                .as_ref()
                .is_some_and(|remote| remote.key().eq_ignore_ascii_case(peer))
    }

    pub(super) fn status(&self) -> Record {
        let usage = self.objects.usage();
        let key = self
            .remote
            .as_ref()
            .map_or_else(String::new, |remote| remote.key());
        let limit = self.objects.limit();
        let mut record = vec![
            ("name".to_owned(), self.name.clone()),
            ("uuid".to_owned(), self.uuid.clone()),
            ("key".to_owned(), key),
            ("host".to_owned(), self.host.clone()),
            ("pid".to_owned(), std::process::id().to_string()),
            ("started".to_owned(), seconds(self.started)),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            (
                "max_object_size".to_owned(),
                limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
            ),
        ];
        let peers = self
            .remote
            .as_ref()
            .map_or_else(Vec::new, |remote| remote.status());
        let connected = peers.iter().filter(|peer| peer.path.is_some()).count();
        for (name, value) in [
            ("objects", usage.objects),
            ("bytes", usage.bytes),
            ("bytes_in_memory", usage.in_memory),
            ("connections", self.connections.load(Relaxed)),
            ("requests", self.requests.load(Relaxed)),
            ("connections_failed", self.refused.load(Relaxed)),
            ("bytes_in", self.bytes_in.load(Relaxed)),
            ("bytes_out", self.bytes_out.load(Relaxed)),
            ("peers", peers.len() as u64),
            ("peers_connected", connected as u64),
        ] {
            record.push((name.to_owned(), value.to_string()));
        }
        if let Some(remote) = &self.remote {
            record.extend(remote.ways_in());
        }
        record
    }

    pub(super) fn peers(&self) -> Vec<Record> {
        let peers = self
            .remote
            .as_ref()
            .map_or_else(Vec::new, |remote| remote.status());
        peers.into_iter().map(peer_record).collect()
    }

    pub(super) fn allowed(&self) -> Vec<Record> {
        let list = self
            .remote
            .as_ref()
            .map_or_else(Vec::new, |remote| remote.list());
        let record = |peer: crate::remote::Allowed| {
            vec![
                ("key".to_owned(), peer.key),
                ("uuid".to_owned(), peer.uuid.unwrap_or_default()),
                ("label".to_owned(), peer.label.unwrap_or_default()),
                ("addresses".to_owned(), peer.addresses.join(" ")),
            ]
        };
        list.into_iter().map(record).collect()
    }

    /// The figures as Prometheus reads them.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.status() {
            let kind = match name.as_str() {
                "objects" | "bytes" | "bytes_in_memory" | "connections" | "peers"
                | "peers_connected" => "gauge",
                "requests" | "connections_failed" | "bytes_in" | "bytes_out" => "counter",
                _ => continue,
            };
            let suffix = if kind == "counter" { "_total" } else { "" };
            let metric = format!("proxystore_endpoint_{name}{suffix}");
            let _ = writeln!(text, "# TYPE {metric} {kind}\n{metric} {value}");
        }
        let peers = self.peers();
        if !peers.is_empty() {
            let _ = writeln!(
                text,
                "# TYPE proxystore_endpoint_peer_bytes_per_second gauge"
            );
        }
        for peer in peers {
            let value = |wanted: &str| {
                let found = peer.iter().find(|(name, _)| name == wanted);
                found.map_or("", |(_, value)| value.as_str())
            };
            let _ = writeln!(
                text,
                "proxystore_endpoint_peer_bytes_per_second{{key=\"{}\",path=\"{}\"}} {}",
                value("key"),
                value("path"),
                value("rate")
            );
        }
        text
    }
}

fn peer_record(peer: PeerStatus) -> Record {
    let path = peer.path.map_or("", crate::remote::Path::name);
    let since = peer.connected_since.map(seconds).unwrap_or_default();
    let round_trip = peer
        .round_trip
        .map(|time| format!("{:.1}", time.as_secs_f64() * 1000.0));
    vec![
        ("name".to_owned(), peer.name),
        ("key".to_owned(), peer.key),
        ("path".to_owned(), path.to_owned()),
        ("connected_since".to_owned(), since),
        ("rate".to_owned(), format!("{:.0}", peer.rate)),
        ("round_trip_ms".to_owned(), round_trip.unwrap_or_default()),
        ("last_error".to_owned(), peer.last_error.unwrap_or_default()),
    ]
}

fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().to_string()
}
