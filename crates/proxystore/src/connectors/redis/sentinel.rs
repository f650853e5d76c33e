//! Sentinels: who is the master of a service now.

use super::cluster::joined;
use super::config::RedisConfig;
use super::connection::{Connection, Failure};
use super::protocol::Commands;
use super::stream::remaining;
use crate::config::secret::shown;
use crate::config::setters;
use std::fmt;
use std::io;
use std::time::Instant;

/// Where sentinels listen unless it is said otherwise.
pub(super) const PORT: u16 = 26379;

/// Sentinels that watch over the servers of a service.
///
/// ```
/// use proxystore::connectors::redis::{RedisConfig, SentinelConfig};
///
/// let sentinel = SentinelConfig::new("mymaster", [("one", 26379), ("two", 26379)]);
/// assert_eq!(sentinel.nodes.len(), 2);
/// assert!(RedisConfig::default().sentinel(sentinel).sentinel.is_some());
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentinelConfig {
    /// Hosts and ports; the first one that answers is believed.
    pub nodes: Vec<(String, u16)>,
    /// What the sentinels call the service, such as `mymaster`.
    pub service: String,
    /// The sentinels' own password, where they have one; `${NAME}` as with the servers'.
    pub password: Option<String>,
}

setters!(SentinelConfig { password: impl Into<String>, } {});

impl SentinelConfig {
    /// Sentinels at these hosts and ports, and what they call the service.
    #[must_use]
    pub fn new<H: Into<String>>(
        service: impl Into<String>,
        nodes: impl IntoIterator<Item = (H, u16)>,
    ) -> Self {
        let nodes = nodes.into_iter().map(|(host, port)| (host.into(), port));
        Self {
            nodes: nodes.collect(),
            service: service.into(),
            password: None,
        }
    }

    pub(super) fn to_url(&self, scheme: &str, user: &str, db: u32) -> String {
        let (nodes, service) = (joined(&self.nodes), &self.service);
        format!("{scheme}+sentinel://{user}{nodes}/{service}/{db}")
    }
}

impl fmt::Debug for SentinelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelConfig")
            .field("nodes", &self.nodes)
            .field("service", &self.service)
            .field("password", &self.password.as_deref().map(shown))
            .finish()
    }
}

/// The address of the master, as the first sentinel says that answers.
pub(super) fn master(
    config: &RedisConfig,
    sentinel: &SentinelConfig,
    deadline: Instant,
) -> Result<(String, u16), Failure> {
    let mut last = None;
    for (at, (host, port)) in sentinel.nodes.iter().enumerate() {
        // One that is silent leaves time for the others.
        let rest = sentinel.nodes.len() - at;
        let share = remaining(deadline)? / u32::try_from(rest).unwrap_or(u32::MAX);
        let of_it = RedisConfig {
            host: host.clone(),
            port: *port,
            unix_socket: None,
            username: None,
            password: sentinel.password.clone(),
            sentinel: None,
            db: 0,
            connect_timeout: share,
            timeout: share,
            ..config.clone()
        };
        match ask(&of_it, &sentinel.service) {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => {
                let service = &sentinel.service;
                last = Some(Failure::Broken(io::Error::other(format!(
                    "the sentinel {host}:{port} knows no service {service:?}"
                ))));
            }
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound).into()))
}

fn ask(config: &RedisConfig, service: &str) -> Result<Option<(String, u16)>, Failure> {
    let mut connection = Connection::open(config)?;
    let question: &[&[u8]] = &[b"SENTINEL", b"get-master-addr-by-name", service.as_bytes()];
    connection.send(&Commands::of(question))?;
    if connection.array_or_nothing()? != Some(2) {
        return Ok(None);
    }
    let (host, port) = (connection.bulk()?, connection.bulk()?);
    let text = |bytes: Option<crate::blob::Buffer>| {
        bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    };
    Ok(text(host).zip(text(port).and_then(|port| port.parse().ok())))
}
