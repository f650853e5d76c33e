//! Endpoints that run, as they say in their folders.

use super::socket::Socket;
use proxystore::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file in an endpoint's folder that says where it runs.
pub(crate) const RUN_FILE: &str = "daemon.run";
/// The file with the secret for clients that do not come by the unix socket.
pub(crate) const TOKEN_FILE: &str = "token";
/// The file with the endpoint's configuration.
pub const CONFIG_FILE: &str = "config.toml";

/// Where an endpoint runs: what its daemon writes into its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The endpoint's folder.
    pub dir: PathBuf,
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Its public key; empty without peers.
    pub key: String,
    /// The daemon's process.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// Tells one boot of one host from all others.
    pub boot: String,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// Its unix socket.
    pub socket: PathBuf,
    /// Its TCP port for clients on other hosts, `host:port`; empty if there is none.
    pub address: String,
}

impl Running {
    /// Reads what the daemon of a folder says; `None` if there is none.
    #[must_use]
    pub fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(RUN_FILE)).ok()?;
        let value = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
        };
        Some(Self {
            dir: dir.to_owned(),
            name: value("name")?,
            uuid: value("uuid")?,
            key: value("key").unwrap_or_default(),
            pid: value("pid")?.parse().ok()?,
            host: value("host")?,
            boot: value("boot")?,
            started: value("started")?.parse().ok()?,
            socket: value("socket")?.into(),
            address: value("address").unwrap_or_default(),
        })
    }

    /// What [`read`](Self::read) reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let socket = self.socket.to_string_lossy();
        let (pid, started) = (self.pid.to_string(), self.started.to_string());
        for (name, value) in [
            ("name", &*self.name),
            ("uuid", &self.uuid),
            ("key", &self.key),
            ("pid", &pid),
            ("host", &self.host),
            ("boot", &self.boot),
            ("started", &started),
            ("socket", &socket),
            ("address", &self.address),
        ] {
            let _ = writeln!(text, "{name}={value}");
        }
        text
    }

    /// Whether it was started on this host since it booted.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.boot == boot()
    }

    /// The endpoint that one of these names: UUIDs, public keys or names of folders below `home`.
    /// The first that runs and answers is taken. No name at all stands for the only endpoint that
    /// there is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if none is configured here, [`ErrorKind::Unreachable`] if none
    /// of them runs.
    pub fn find(home: &Path, names: &[String]) -> Result<super::Client> {
        let mut folders = folders(home);
        if !names.is_empty() {
            folders.retain(|folder| names.iter().any(|name| folder.is_named(name)));
        } else if folders.len() > 1 {
            let known: Vec<_> = folders.iter().map(|folder| folder.name.as_str()).collect();
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "there are several endpoints in {}: name one of {}",
                    home.display(),
                    known.join(", ")
                ),
            )
            .with_connector("endpoint"));
        }
        let mut failure = None;
        for folder in &folders {
            match folder.client() {
                Ok(client) => return Ok(client),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure
            .unwrap_or_else(|| {
                let wanted = if names.is_empty() {
                    "no endpoint".to_owned()
                } else {
                    format!("none of the endpoints {}", names.join(", "))
                };
                Error::new(
                    ErrorKind::InvalidConfig,
                    format!(
                        "{wanted} is configured in {}: make one with `proxystore-endpoint \
                         configure NAME`, or set PROXYSTORE_HOME to where it is",
                        home.display()
                    ),
                )
            })
            .with_connector("endpoint"))
    }

    pub(super) fn connect(&self) -> Result<Socket> {
        let (attempt, place) = if self.is_here() {
            (
                Socket::unix(&self.socket),
                self.socket.display().to_string(),
            )
        } else if self.address.is_empty() {
            return Err(Error::new(
                ErrorKind::WrongHost,
                format!(
                    "the endpoint {} runs on {} and listens there for programs of that host only: \
                     configure it with --host, or run this program there",
                    self.name, self.host
                ),
            )
            .with_connector("endpoint"));
        } else {
            (Socket::tcp(&self.address), self.address.clone())
        };
        attempt.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Unreachable,
            };
            Error::new(
                kind,
                format!(
                    "the endpoint {} does not answer at {place} on {}: start it with \
                     `proxystore-endpoint start {} --detach`",
                    self.name, self.host, self.name
                ),
            )
            .with_source(error)
            .with_connector("endpoint")
        })
    }

    pub(super) fn token(&self) -> Result<String> {
        let path = self.dir.join(TOKEN_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => {
                Err(Error::io(error, format!("reading {}", path.display()))
                    .with_connector("endpoint"))
            }
        }
    }
}

/// A folder with a configuration.
struct Folder {
    dir: PathBuf,
    name: String,
    uuid: String,
    running: Option<Running>,
}

impl Folder {
    fn is_named(&self, name: &str) -> bool {
        let key = self.running.as_ref().map_or("", |running| &running.key);
        self.name == name
            || self.uuid.eq_ignore_ascii_case(name)
            || (!key.is_empty() && key.eq_ignore_ascii_case(name))
    }

    fn client(&self) -> Result<super::Client> {
        match &self.running {
            Some(running) => super::Client::connect(running.clone()),
            None => Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "the endpoint {} is not running: start it with `proxystore-endpoint start {} \
                     --detach` (it is configured in {})",
                    self.name,
                    self.name,
                    self.dir.display()
                ),
            )),
        }
    }
}

fn folders(home: &Path) -> Vec<Folder> {
    let mut folders: Vec<_> = fs::read_dir(home)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let dir = entry.ok()?.path();
            let text = fs::read_to_string(dir.join(CONFIG_FILE)).ok()?;
            // The daemon reads the file as TOML; a program only looks for the one line.
            let uuid = text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                let quotes = ['"', '\''];
                (name.trim() == "uuid").then(|| value.trim().trim_matches(quotes).to_owned())
            })?;
            let name = dir.file_name()?.to_str()?.to_owned();
            let running = Running::read(&dir);
            Some(Folder {
                dir,
                name,
                uuid,
                running,
            })
        })
        .collect();
    folders.sort_by(|left, right| left.name.cmp(&right.name));
    folders
}

/// Where endpoints are configured: `$PROXYSTORE_HOME`, or `proxystore` in the user's data
/// directory.
#[must_use]
pub fn home_dir() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| "/".into()));
    let expanded = |path: PathBuf| match path.strip_prefix("~") {
        Ok(rest) => home().join(rest),
        Err(_) => path,
    };
    if let Some(chosen) = variable("PROXYSTORE_HOME") {
        let chosen = expanded(chosen.into());
        return std::path::absolute(&chosen).unwrap_or(chosen);
    }
    match variable("XDG_DATA_HOME") {
        Some(base) => expanded(base.into()).join("proxystore"),
        None => home().join(".local/share/proxystore"),
    }
}

/// The identity of this boot of this host.
pub(crate) fn boot() -> String {
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let boot = read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Containers of one machine share the boot, but not their sockets.
    let net = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    format!("{boot}/{}", net.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_writes_is_read() {
        let dir = std::env::temp_dir().join(format!("endpoint-running-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let running = Running {
            dir: dir.clone(),
            name: "left".into(),
            uuid: "u".into(),
            key: "k".into(),
            pid: 12,
            host: "h".into(),
            boot: boot(),
            started: 99,
            socket: dir.join("socket"),
            address: "h:1".into(),
        };
        fs::write(dir.join(RUN_FILE), running.to_text()).unwrap();
        assert_eq!(Running::read(&dir), Some(running.clone()));
        assert!(running.is_here());
        fs::write(dir.join(RUN_FILE), "name=left\npid=x\n").unwrap();
        assert_eq!(Running::read(&dir), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
