//! `config.toml` in an endpoint's folder: what ProxyStore 1.1 has in it, and what is new.

use crate::client::home_dir;
use proxystore::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use crate::client::CONFIG_FILE;

/// Largest object unless configured otherwise, as in ProxyStore 1.1.
pub const MAX_OBJECT_SIZE_DEFAULT: u64 = 100_000_000;

/// What a database of ProxyStore 1.1 begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// An endpoint's configuration.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name, which is that of its folder.
    pub name: String,
    /// What others call it.
    pub uuid: String,
    /// TCP port for clients on other hosts of the site; 0 for any that is free.
    #[serde(default)]
    pub port: u16,
    /// The name or address that those clients use; none, and no host type, for no such clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How `host` is found at the start: `ip`, `fqdn`, `static` (it is given), or `none`.
    #[serde(default)]
    pub host_type: HostType,
    /// The relay.
    #[serde(default)]
    pub relay: RelayConfig,
    /// How objects are kept.
    #[serde(default)]
    pub storage: StorageSection,
    /// How peers come in.
    #[serde(default)]
    pub peers: PeersSection,
    /// Figures for Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSection>,
}

/// How clients on other hosts of the site name this one.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HostType {
    /// Its address.
    #[default]
    Ip,
    /// Its full name.
    Fqdn,
    /// As configured.
    Static,
    /// Not at all: the endpoint is for programs of its own host.
    None,
}

/// The relay that peers find each other by.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// `https://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A file with the token that the relay asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificate (PEM) that the relay's is signed by, if no public authority did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Of 1.1: accepted and not used; the relay knows endpoints by key or token.
    #[serde(skip_serializing_if = "RelayAuth::is_default")]
    pub auth: RelayAuth,
    /// Of 1.1: accepted and not used; transfers are striped as needed.
    #[serde(skip_serializing_if = "is_one")]
    pub peer_channels: u32,
    /// Of 1.1: certificates are always verified; false is refused.
    #[serde(skip_serializing_if = "is_true")]
    pub verify_certificate: bool,
    /// Of 1.1: accepted and not used; there is no STUN server to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<BTreeMap<String, toml::Value>>>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            address: None,
            token_file: None,
            certificate: None,
            auth: RelayAuth::default(),
            peer_channels: 1,
            verify_certificate: true,
            ice_servers: None,
        }
    }
}

/// How ProxyStore 1.1 proves to a relay who it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RelayAuth {
    /// `globus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kwargs: BTreeMap<String, toml::Value>,
}

impl RelayAuth {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_one(number: &u32) -> bool {
    *number == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_true(flag: &bool) -> bool {
    *flag
}

/// How objects are kept.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// The database that objects persist in; without it they go with the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_path: Option<PathBuf>,
    /// Largest object in bytes; 0 for no limit.
    pub max_object_size: u64,
    /// Most bytes of objects in memory; half of the machine's if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Whether what does not fit into memory goes to the disk, in the endpoint's folder.
    #[serde(skip_serializing_if = "is_true")]
    pub spill: bool,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            database_path: None,
            max_object_size: MAX_OBJECT_SIZE_DEFAULT,
            memory_limit: None,
            spill: true,
        }
    }
}

/// How peers come in.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSection {
    /// Whether there are any.
    #[serde(skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Addresses to listen at, UDP and TCP, `host:port`; every address at any port if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
    /// Whether to use TLS over TCP where the peer's port is reached.
    #[serde(skip_serializing_if = "is_true")]
    pub direct_tls: bool,
    /// Whether to use QUIC.
    #[serde(skip_serializing_if = "is_true")]
    pub quic: bool,
    /// Whether QUIC may only go by the relay.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub relay_only: bool,
}

impl Default for PeersSection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: Vec::new(),
            direct_tls: true,
            quic: true,
            relay_only: false,
        }
    }
}

/// Figures for Prometheus, and a page that says whether the endpoint is well.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MetricsSection {
    /// Port on the loopback interface; 0 for any that is free.
    pub port: u16,
}

impl Config {
    /// Reads the configuration of a folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with the file, the line and what is wrong.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(CONFIG_FILE);
        let text = fs::read_to_string(&path).map_err(|error| {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            match error.kind() {
                std::io::ErrorKind::NotFound => wrong(format!(
                    "there is no endpoint {name} in {}: `proxystore-endpoint list` shows which \
                     there are, `proxystore-endpoint configure {name}` makes one",
                    dir.parent().unwrap_or(dir).display()
                )),
                _ => Error::io(error, format!("reading {}", path.display())),
            }
        })?;
        let config: Self =
            toml::from_str(&text).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        config
            .check()
            .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        Ok(config)
    }

    /// Writes the configuration into a folder, which is made if need be.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        self.check()?;
        let text = toml::to_string_pretty(self)
            .map_err(|error| wrong(format!("the configuration has no form as TOML: {error}")))?;
        let path = dir.join(CONFIG_FILE);
        let failed = |error| Error::io(error, format!("writing {}", path.display()));
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let temporary = dir.join(".config.toml.new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        fs::rename(&temporary, &path).map_err(failed)
    }

    fn check(&self) -> Result<()> {
        if !is_name(&self.name) {
            return Err(wrong(format!(
                "`name` is {:?}; letters, digits, `-` and `_` make a name",
                self.name
            )));
        }
        if self.host_type == HostType::Static && self.host.is_none() {
            return Err(wrong(
                "`host_type` is \"static\", but no `host` is given".to_owned(),
            ));
        }
        if !self.relay.verify_certificate {
            return Err(wrong(
                "`relay.verify_certificate` is false: name the relay's certificate in \
                 `relay.certificate` instead"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The database that objects persist in. Where 1.1 has left its own, which is of another kind,
    /// ours lies beside it, and that one stays as it is.
    #[must_use]
    pub fn database(&self) -> Option<PathBuf> {
        let path = self.storage.database_path.as_ref()?;
        let mut head = [0; SQLITE.len()];
        let is_older = fs::File::open(path)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok_and(|()| head == *SQLITE);
        Some(if is_older {
            path.with_extension("redb")
        } else {
            path.clone()
        })
    }

    /// The limit of objects, if there is one.
    #[must_use]
    pub fn max_object_size(&self) -> Option<u64> {
        Some(self.storage.max_object_size).filter(|limit| *limit > 0)
    }
}

/// Whether a text can be an endpoint's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The folder of an endpoint.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if the name is none.
pub fn folder(home: Option<&Path>, name: &str) -> Result<PathBuf> {
    if !is_name(name) {
        return Err(wrong(format!(
            "{name:?} is no name of an endpoint: letters, digits, `-` and `_` make one"
        )));
    }
    Ok(home.map_or_else(home_dir, Path::to_owned).join(name))
}

fn wrong(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `proxystore-endpoint configure` of ProxyStore 1.1 writes, with every field.
    const OLDER: &str = r#"
name = "left"
uuid = "5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55"
port = 8765
host_type = "ip"

[relay]
address = "wss://relay.example.org"
peer_channels = 2
verify_certificate = true

[relay.auth]
method = "globus"

[relay.auth.kwargs]

[[relay.ice_servers]]
urls = "stun:stun.example.org"

[storage]
database_path = "/data/left/blobs.db"
max_object_size = 100000000
"#;

    #[test]
    fn what_is_older_is_read() {
        let config: Config = toml::from_str(OLDER).unwrap();
        config.check().unwrap();
        assert_eq!(config.port, 8765);
        assert_eq!(config.max_object_size(), Some(100_000_000));
        let again: Config = toml::from_str(&toml::to_string_pretty(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, word) in [
            (("port = 8765", "prot = 8765"), "prot"),
            (("port = 8765", "port = 70000"), "port"),
            (("\"ip\"", "\"ipx\""), "ipx"),
            (("\"ip\"", "\"static\""), "host"),
            (("\"left\"", "\"le ft\""), "name"),
            (("= true", "= false"), "relay.certificate"),
        ] {
            let text = OLDER.replace(change.0, change.1);
            let read = toml::from_str::<Config>(&text);
            let error = match read {
                Ok(config) => config.check().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(word), "{error}");
        }
    }
}
