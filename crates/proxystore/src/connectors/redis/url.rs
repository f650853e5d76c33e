//! A configuration as a URL, and the other way round.

use super::cluster::{ClusterConfig, joined};
use super::config::{Address, RedisConfig};
use super::sentinel::{self, SentinelConfig};
use super::tls::TlsConfig;
use crate::Result;
use crate::config::Url;
use crate::config::secret::variable;
use std::fmt::Write;
use std::path::PathBuf;

impl RedisConfig {
    /// Reads `redis://user:password@host:port/db`, `redis+cluster://host:port,host:port` or
    /// `redis+unix:///socket`, and the options `namespace`, `connect_timeout`, `timeout`,
    /// `retries`, `replicas`, `bare_keys`, `clear`, and, of a socket, `db`.
    ///
    /// ```
    /// use proxystore::config::Url;
    /// use proxystore::connectors::redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url(Url::parse("redis://cache/2?timeout=3")?)?;
    /// assert_eq!((config.host.as_str(), config.port, config.db), ("cache", 6379, 2));
    /// # Ok::<(), proxystore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), with what is wrong.
    pub fn from_url(mut url: Url) -> Result<Self> {
        let mut config = Self::default();
        if url.scheme() == "redis+profile" {
            return Self::of_profile(url);
        }
        if url.scheme() == "redis+sentinel" || url.scheme() == "rediss+sentinel" {
            config.take_sentinels(&mut url)?;
        } else if url.scheme() == "redis+cluster" || url.scheme() == "rediss+cluster" {
            let nodes = url.hosts(config.port);
            if nodes.is_empty() || !["", "/", "/0"].contains(&url.path()) {
                let usage = "name some of its nodes: `redis+cluster://host:port,host:port`";
                return Err(url.invalid(usage));
            }
            config.host.clone_from(&nodes[0].0);
            config.port = nodes[0].1;
            config.cluster = Some(ClusterConfig::new(nodes));
        } else if url.scheme() == "redis+unix" {
            if url.path().len() < 2 || url.host().is_some() {
                return Err(url.invalid("name the socket: `redis+unix:///absolute/path`"));
            }
            config.unix_socket = Some(url.path().into());
            config.db = url.take("db")?.unwrap_or(config.db);
        } else {
            if let Some(host) = url.host() {
                config.host = host.to_owned();
            }
            config.port = url.port().unwrap_or(config.port);
            let db = url.path().trim_start_matches('/');
            if !db.is_empty() {
                config.db = db.parse().map_err(|_| {
                    url.invalid("the path is the number of the database: `redis://host:port/0`")
                })?;
            }
        }
        config.take_tls(&mut url)?;
        config.retries = url.take("retries")?.unwrap_or(config.retries);
        config.replicas = url.take("replicas")?.unwrap_or(config.replicas);
        config.allow_secret = url.take("allow_secret")?.unwrap_or(config.allow_secret);
        config.username = url.username().map(str::to_owned);
        config.password = url.password().map(str::to_owned);
        config.namespace = url.take("namespace")?.unwrap_or(config.namespace);
        config.timeout = url.take("timeout")?.unwrap_or(config.timeout);
        let connect_timeout = url.take("connect_timeout")?;
        config.connect_timeout = connect_timeout.unwrap_or(config.connect_timeout);
        config.bare_keys = url.take("bare_keys")?.unwrap_or(config.bare_keys);
        config.clear_on_close = url.take("clear")?.unwrap_or(config.clear_on_close);
        url.finish()?;
        config.check()?;
        Ok(config)
    }

    /// What a profile says. Options of the URL itself are refused: they would be lost elsewhere.
    fn of_profile(url: Url) -> Result<Self> {
        let name = url.host().unwrap_or_default().to_owned();
        let text = crate::config::profile::read(&name, "redis")?;
        url.finish()?;
        let inner = Url::parse(&text)?;
        if inner.scheme() == "redis+profile" {
            return Err(inner.invalid("a profile cannot name another profile"));
        }
        Ok(Self {
            profile: Some(name),
            ..Self::from_url(inner)?
        })
    }

    fn take_tls(&mut self, url: &mut Url) -> Result<()> {
        if url.scheme().starts_with("rediss") {
            self.tls = Some(TlsConfig {
                ca_file: url.take::<String>("ca_file")?.map(PathBuf::from),
                certificate: url.take::<String>("certificate")?.map(PathBuf::from),
                private_key: url.take::<String>("private_key")?.map(PathBuf::from),
                server_name: url.take("server_name")?,
            });
        }
        Ok(())
    }

    /// `host:port,host:port/service/db`
    fn take_sentinels(&mut self, url: &mut Url) -> Result<()> {
        let usage = "name sentinels and service: `redis+sentinel://host:port,host:port/service/db`";
        let (service, db) = {
            let path = url.path().trim_start_matches('/');
            path.split_once('/').unwrap_or((path, "0"))
        };
        self.db = db.parse().map_err(|_| url.invalid(usage))?;
        let service = service.to_owned();
        let nodes = url.hosts(sentinel::PORT);
        if service.is_empty() || nodes.is_empty() {
            return Err(url.invalid(usage));
        }
        self.sentinel = Some(SentinelConfig {
            nodes,
            service,
            password: url.take("sentinel_password")?,
        });
        Ok(())
    }

    /// What another process is told: nothing, if that would be a secret that nobody said to tell.
    pub(super) fn reference(&self) -> Option<String> {
        let is_secret = |text: &String| variable(text).is_none();
        let sentinel = self.sentinel.as_ref().and_then(|one| one.password.as_ref());
        let holds_secret = [self.password.as_ref(), sentinel]
            .into_iter()
            .flatten()
            .any(is_secret);
        if holds_secret && !self.allow_secret && self.profile.is_none() {
            return None;
        }
        self.to_url()
    }

    /// Whether a password stands in it as it is.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        self.profile.is_none() && !self.allow_secret && self.reference().is_none()
    }

    /// The URL that [`from_url`](Self::from_url) reads, without `clear`: who opens it elsewhere
    /// does not own the objects. It holds the password.
    pub(super) fn to_url(&self) -> Option<String> {
        use crate::percent::encode;
        if let Some(name) = &self.profile {
            return Some(format!("redis+profile://{}", encode(name)));
        }
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let user = match (&self.username, &self.password) {
            (_, None) => String::new(),
            (name, Some(password)) => {
                let name = name.as_deref().map(encode_all).unwrap_or_default();
                let password = match variable(password) {
                    Some(_) => password.clone(),
                    None => encode_all(password),
                };
                format!("{name}:{password}@")
            }
        };
        let mut url = match self.address() {
            _ if let Some(sentinel) = &self.sentinel => sentinel.to_url(scheme, &user, self.db),
            _ if let Some(cluster) = &self.cluster => {
                format!("{scheme}+cluster://{user}{}", joined(&cluster.nodes))
            }
            Address::Unix(path) => format!("redis+unix://{}", encode(path.to_str()?)),
            Address::Tcp(host, port) => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    encode(host)
                };
                format!("{scheme}://{user}{host}:{port}/{}", self.db)
            }
        };
        let mut separator = '?';
        let mut option = |name: &str, value: String| {
            let _ = write!(url, "{separator}{name}={value}");
            separator = '&';
        };
        let default = Self::default();
        if self.unix_socket.is_some() && self.db != default.db {
            option("db", self.db.to_string());
        }
        if self.namespace != default.namespace {
            option("namespace", encode(&self.namespace));
        }
        let times = [
            (
                "connect_timeout",
                self.connect_timeout,
                default.connect_timeout,
            ),
            ("timeout", self.timeout, default.timeout),
        ];
        for (name, time, usual) in times {
            if time != usual {
                option(name, format!("{}", time.as_secs_f64()));
            }
        }
        if self.bare_keys {
            option("bare_keys", "true".to_owned());
        }
        if self.retries != default.retries {
            option("retries", self.retries.to_string());
        }
        if self.replicas != default.replicas {
            option("replicas", self.replicas.to_string());
        }
        if self.allow_secret {
            option("allow_secret", "true".to_owned());
        }
        if let Some(tls) = &self.tls {
            for (name, value) in tls.options() {
                option(name, encode(&value?));
            }
        }
        if let Some(password) = self.sentinel.as_ref().and_then(|one| one.password.as_ref()) {
            option("sentinel_password", password.clone());
        }
        // A URL of a socket has no place for a password.
        (self.unix_socket.is_none() || self.password.is_none()).then_some(url)
    }
}

/// For user and password, where a `/` too would end them.
fn encode_all(text: &str) -> String {
    crate::percent::encode(text).replace('/', "%2F")
}
