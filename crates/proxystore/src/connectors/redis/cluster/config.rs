//! Which nodes of a cluster are asked first.

use std::fmt::Write;

/// Some nodes of a Redis Cluster; they know the others.
///
/// ```
/// use proxystore::connectors::redis::{ClusterConfig, RedisConfig};
///
/// let cluster = ClusterConfig::new([("one", 6379), ("two", 6379)]);
/// assert_eq!(cluster.nodes.len(), 2);
/// assert!(RedisConfig::default().cluster(cluster).cluster.is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// Hosts and ports; the first one that answers says where the others are.
    pub nodes: Vec<(String, u16)>,
}

impl ClusterConfig {
    /// Nodes at these hosts and ports.
    #[must_use]
    pub fn new<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        let nodes = nodes.into_iter().map(|(host, port)| (host.into(), port));
        Self {
            nodes: nodes.collect(),
        }
    }
}

/// `host:port,host:port`
pub(in super::super) fn joined(nodes: &[(String, u16)]) -> String {
    let mut text = String::new();
    for (host, port) in nodes {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = match host.contains(':') {
            true => write!(text, "{separator}[{host}]:{port}"),
            false => write!(text, "{separator}{host}:{port}"),
        };
    }
    text
}
