//! Where the server is and how it is used.

use super::cluster::{ClusterConfig, joined};
use super::sentinel::SentinelConfig;
use super::tls::TlsConfig;
use crate::config::secret::shown;
use crate::config::setters;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to reach a server, and which of its keys are ours. `Debug` hides the password.
///
/// ```
/// use proxystore::connectors::redis::RedisConfig;
///
/// let config = RedisConfig::default().host("cache.example.org").password("sesame");
/// assert_eq!(config.port, 6379);
/// assert!(!format!("{config:?}").contains("sesame"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Socket of a server on this machine, used instead of host and port.
    pub unix_socket: Option<PathBuf>,
    /// User of the server's access control; the default user if there is none.
    pub username: Option<String>,
    /// Password of the user. `${NAME}` stands for what the environment variable of that name says
    /// wherever a connection is made: so it can be sent to other processes.
    pub password: Option<String>,
    /// Whether a [`url`](crate::Connector::url) may hold the password itself, for other processes.
    pub allow_secret: bool,
    /// The name of the profile that all this was read from, which stands for it elsewhere.
    pub profile: Option<String>,
    /// How to speak TLS; without it the connection is in clear.
    pub tls: Option<TlsConfig>,
    /// Sentinels that know where the master of a service is; asked at each connection, instead of
    /// host and port.
    pub sentinel: Option<SentinelConfig>,
    /// Nodes of a Redis Cluster, used instead of host and port. Each object goes to the node that
    /// has its key.
    pub cluster: Option<ClusterConfig>,
    /// How often a call is repeated whose connection dropped, after longer and longer pauses. In a
    /// cluster that has other nodes still, it is repeated until `timeout` has passed, or not at all
    /// if this is 0.
    pub retries: u32,
    /// How many replicas must have an object before its put returns (`WAIT`).
    pub replicas: u32,
    /// Number of the database.
    pub db: u32,
    /// What [`close`](crate::Connector::close) does when its caller leaves the choice to the
    /// configuration.
    pub clear_on_close: bool,
    /// Longest time for making a connection, the look-up of the name included.
    pub connect_timeout: Duration,
    /// Longest time without any byte sent or received.
    pub timeout: Duration,
    /// What our keys begin with, before a `:`. Connectors with the same namespace share their
    /// objects.
    pub namespace: String,
    /// Also look for keys without the namespace, as ProxyStore 1.x wrote them: `get`, `exists` and
    /// `evict` find them; what is put is always put under the namespace.
    pub bare_keys: bool,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            unix_socket: None,
            username: None,
            password: None,
            allow_secret: false,
            profile: None,
            tls: None,
            sentinel: None,
            cluster: None,
            retries: 5,
            replicas: 0,
            db: 0,
            clear_on_close: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            namespace: "proxystore".to_owned(),
            bare_keys: false,
        }
    }
}

setters!(RedisConfig {
    host: impl Into<String>,
    unix_socket: impl Into<PathBuf>,
    username: impl Into<String>,
    password: impl Into<String>,
    profile: impl Into<String>,
    namespace: impl Into<String>,
} {
    port: u16,
    allow_secret: bool,
    tls: TlsConfig,
    sentinel: SentinelConfig,
    cluster: ClusterConfig,
    retries: u32,
    replicas: u32,
    db: u32,
    clear_on_close: bool,
    connect_timeout: Duration,
    timeout: Duration,
    bare_keys: bool,
});

/// Where to connect to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address<'a> {
    Tcp(&'a str, u16),
    Unix(&'a Path),
}

impl RedisConfig {
    pub(super) fn address(&self) -> Address<'_> {
        match &self.unix_socket {
            Some(path) => Address::Unix(path),
            None => Address::Tcp(&self.host, self.port),
        }
    }

    /// The place as a URL, without user and password.
    pub(super) fn place(&self) -> String {
        let db = self.db;
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        match self.address() {
            _ if let Some(sentinel) = &self.sentinel => sentinel.to_url(scheme, "", db),
            _ if let Some(cluster) = &self.cluster => {
                format!("{scheme}+cluster://{}", joined(&cluster.nodes))
            }
            Address::Tcp(host, port) if host.contains(':') => {
                format!("{scheme}://[{host}]:{port}/{db}")
            }
            Address::Tcp(host, port) => format!("{scheme}://{host}:{port}/{db}"),
            Address::Unix(path) => format!("redis+unix://{}?db={db}", path.display()),
        }
    }

    /// What all our keys begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}:", self.namespace)
    }

    /// How a person would try whether the server answers.
    pub(super) fn advice(&self) -> String {
        match self.address() {
            _ if self.sentinel.is_some() => "are the sentinels and the master running?".to_owned(),
            _ if let Some((host, port)) =
                self.cluster.as_ref().and_then(|one| one.nodes.first()) =>
            {
                format!(
                    "is any of its nodes running? Try: redis-cli -h {host} -p {port} cluster info"
                )
            }
            Address::Tcp(host, port) => {
                format!("is redis-server running there? Try: redis-cli -h {host} -p {port} ping")
            }
            Address::Unix(path) => format!(
                "is redis-server running with this `unixsocket`? Try: redis-cli -s {} ping",
                path.display()
            ),
        }
    }

    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with the name of the field.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |why: &str| {
            Err(Error::new(ErrorKind::InvalidConfig, why.to_owned()).with_connector("redis"))
        };
        if self.host.is_empty() && self.unix_socket.is_none() {
            return wrong("`host` is empty; give a name or an address, or `unix_socket`");
        }
        if self.port == 0 && self.unix_socket.is_none() {
            return wrong("`port` is 0; Redis listens on 6379 by default");
        }
        if self.connect_timeout.is_zero() {
            return wrong("`connect_timeout` must be more than 0 seconds");
        }
        if self.timeout.is_zero() {
            return wrong("`timeout` must be more than 0 seconds");
        }
        if let Some(cluster) = &self.cluster {
            self.check_cluster(cluster).or_else(&wrong)?;
        }
        if self.tls.is_some() && self.unix_socket.is_some() {
            return wrong("`tls` is for connections over a network, not for a `unix_socket`");
        }
        if self.tls.is_some() && !cfg!(feature = "tls") {
            return wrong("`rediss://` needs the crate's feature `tls`");
        }
        if self.username.is_some() && self.password.is_none() {
            return wrong("`username` needs a `password`");
        }
        if self.namespace.contains(':') {
            // So that no namespace's keys lie within another's.
            return wrong("`namespace` must not contain ':', which ends it in each key");
        }
        if self.namespace.is_empty() {
            return wrong(
                "`namespace` is empty, so that our keys could not be told from others'; to read \
                 the keys of ProxyStore 1.x, set `bare_keys`",
            );
        }
        Ok(())
    }
}

impl RedisConfig {
    fn check_cluster(&self, cluster: &ClusterConfig) -> std::result::Result<(), &'static str> {
        let is_node = |(host, port): &(String, u16)| !host.is_empty() && *port != 0;
        if cluster.nodes.is_empty() || !cluster.nodes.iter().all(is_node) {
            return Err("`cluster` needs nodes: `redis+cluster://host:port,host:port`");
        }
        if self.sentinel.is_some() || self.unix_socket.is_some() {
            return Err(
                "`cluster` is one way to find the servers: give no `sentinel` and no `unix_socket`",
            );
        }
        if self.db != 0 {
            return Err("`db` must be 0: a cluster has one database; use a `namespace`");
        }
        if self.bare_keys {
            return Err(
                "`bare_keys` has no use in a cluster, where ProxyStore 1.x could not write",
            );
        }
        if self.namespace.contains(['{', '}']) {
            return Err(
                "`namespace` must not contain '{' or '}', which say where in a cluster a key is kept",
            );
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("unix_socket", &self.unix_socket)
            .field("username", &self.username)
            .field("password", &self.password.as_deref().map(shown))
            .field("allow_secret", &self.allow_secret)
            .field("profile", &self.profile)
            .field("tls", &self.tls)
            .field("sentinel", &self.sentinel)
            .field("cluster", &self.cluster)
            .field("retries", &self.retries)
            .field("replicas", &self.replicas)
            .field("db", &self.db)
            .field("clear_on_close", &self.clear_on_close)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("namespace", &self.namespace)
            .field("bare_keys", &self.bare_keys)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Url;

    #[test]
    fn what_is_wrong_is_named() {
        let good = RedisConfig::default();
        assert!(good.check().is_ok());
        let wrong = [
            (
                "host",
                RedisConfig {
                    host: String::new(),
                    ..good.clone()
                },
            ),
            (
                "port",
                RedisConfig {
                    port: 0,
                    ..good.clone()
                },
            ),
            (
                "connect_timeout",
                RedisConfig {
                    connect_timeout: Duration::ZERO,
                    ..good.clone()
                },
            ),
            (
                "timeout",
                RedisConfig {
                    timeout: Duration::ZERO,
                    ..good.clone()
                },
            ),
            (
                "username",
                RedisConfig {
                    username: Some("me".into()),
                    ..good.clone()
                },
            ),
            (
                "namespace",
                RedisConfig {
                    namespace: String::new(),
                    ..good.clone()
                },
            ),
            (
                "namespace",
                RedisConfig {
                    namespace: "a:b".into(),
                    ..good
                },
            ),
        ];
        for (field, config) in wrong {
            let error = config.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
    }

    #[test]
    fn a_url_says_it_all() {
        let read = |text: &str| RedisConfig::from_url(Url::parse(text).unwrap());
        let config = read(
            "redis://me:a%3Ab@[::1]:7000/3?namespace=team&timeout=2&connect_timeout=500ms&bare_keys=1&clear=true",
        )
        .unwrap();
        let wanted = RedisConfig {
            host: "::1".into(),
            port: 7000,
            unix_socket: None,
            username: Some("me".into()),
            password: Some("a:b".into()),
            db: 3,
            clear_on_close: true,
            connect_timeout: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            namespace: "team".into(),
            bare_keys: true,
            ..RedisConfig::default()
        };
        assert_eq!(config, wanted);
        let elsewhere = RedisConfig {
            clear_on_close: false,
            ..wanted
        };
        assert_eq!(read(&elsewhere.to_url().unwrap()).unwrap(), elsewhere);
        assert_eq!(read("redis://").unwrap(), RedisConfig::default());
        let config = read("redis+unix:///run/redis.sock?db=2").unwrap();
        assert_eq!(read(&config.to_url().unwrap()).unwrap(), config);
        assert_eq!(config.unix_socket, Some("/run/redis.sock".into()));
        assert_eq!(config.db, 2);
        for wrong in [
            "redis://h/x",
            "redis://h/-1",
            "redis://h/1/2",
            "redis://h?db=2",
            "redis://h?timeout=0",
            "redis://me@h",
            "redis+unix://",
            "redis+unix://h/socket",
            "redis://h?namespcae=x",
        ] {
            assert_eq!(
                read(wrong).unwrap_err().kind(),
                ErrorKind::InvalidConfig,
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_password_does_not_print() {
        let config = RedisConfig {
            username: Some("me".into()),
            password: Some("hunter2".into()),
            ..RedisConfig::default()
        };
        for text in [format!("{config:?}"), config.place(), config.advice()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
