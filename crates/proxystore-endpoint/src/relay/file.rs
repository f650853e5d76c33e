//! A relay's configuration file: what ProxyStore 1.1 has in it, and what is new.

use crate::log::Level;
use proxystore::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What the file may have. The command line goes before it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RelayFile {
    pub(super) host: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) certfile: Option<PathBuf>,
    pub(super) keyfile: Option<PathBuf>,
    /// New: the list of keys, the token, and whether everybody may come in.
    pub(super) keys: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) open: bool,
    auth: Auth,
    pub(super) logging: Logging,
    /// Of 1.1: accepted and not used; the relay's messages are small.
    #[serde(rename = "max_message_bytes")]
    _max_message_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Auth {
    method: Option<String>,
    #[serde(rename = "kwargs")]
    _kwargs: BTreeMap<String, toml::Value>,
}

/// Of 1.1: of it only the directory and the level are used.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Logging {
    pub(super) log_dir: Option<PathBuf>,
    pub(super) default_level: Option<PythonLevel>,
    #[serde(rename = "websockets_level")]
    _websockets_level: Option<PythonLevel>,
    #[serde(rename = "current_client_interval")]
    _current_client_interval: Option<u64>,
    #[serde(rename = "current_client_limit")]
    _current_client_limit: Option<u64>,
}

/// A level as Python's `logging` has it: a number or a name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PythonLevel {
    Number(u8),
    Name(String),
}

impl PythonLevel {
    pub(super) fn level(&self) -> Result<Level> {
        match self {
            Self::Number(0..=10) => Ok(Level::Debug),
            Self::Number(11..=20) => Ok(Level::Info),
            Self::Number(21..=30) => Ok(Level::Warning),
            Self::Number(_) => Ok(Level::Error),
            Self::Name(name) => name
                .parse()
                .map_err(|error| Error::new(ErrorKind::InvalidConfig, error)),
        }
    }
}

impl RelayFile {
    /// Reads the file.
    ///
    /// # Errors
    /// `InvalidConfig` with the line, or with what took the place of something that is gone.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("{}: {why}", path.display()),
            )
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io(error, format!("reading {}", path.display())))?;
        let file: Self = toml::from_str(&text).map_err(|error| wrong(&error))?;
        if let Some(method) = &file.auth.method {
            return Err(wrong(&format!(
                "`auth.method` is {method:?}: this relay knows endpoints by a list of keys \
                 (`keys = FILE`) or by a token (`token_file = FILE`); remove the section [auth]"
            )));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_older_relay_are_read_and_what_is_gone_is_named() {
        let path =
            std::env::temp_dir().join(format!("proxystore-relay-file-{}", std::process::id()));
        let older = "host = \"127.0.0.1\"\nport = 8701\nmax_message_bytes = 5\n[auth]\n\
                     [auth.kwargs]\n[logging]\nlog_dir = \"/logs\"\ndefault_level = \"INFO\"\n\
                     websockets_level = 30\ncurrent_client_interval = 60\n\
                     current_client_limit = 32\n";
        std::fs::write(&path, older).unwrap();
        let file = RelayFile::read(&path).unwrap();
        assert_eq!(file.port, Some(8701));
        assert_eq!(
            file.logging.default_level.unwrap().level().unwrap(),
            Level::Info
        );
        for (text, word) in [
            ("[auth]\nmethod = \"globus\"\n", "token_file"),
            ("prot = 1\n", "prot"),
            ("port = 70000\n", "port"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = RelayFile::read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(word), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(RelayFile::read(&path).is_err());
    }
}
