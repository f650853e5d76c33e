//! Named connections, in a file of this user's: what travels is the name.

use crate::{Error, ErrorKind, Result};
use std::env;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The file: lines of `name = url`, comments after `#`.
fn path() -> PathBuf {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("PROXYSTORE_HOME")
        .or_else(|| set("XDG_DATA_HOME").map(|path| path.join("proxystore")))
        .or_else(|| set("HOME").map(|path| path.join(".local/share/proxystore")))
        .unwrap_or_default()
        .join("profiles")
}

/// The URL of a profile.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if there is none of this name, and
/// [`ErrorKind::PermissionDenied`] if others may read the file.
pub(crate) fn read(name: &str, connector: &'static str) -> Result<String> {
    let path = path();
    let fail = |kind, message: String| Err(Error::new(kind, message).with_connector(connector));
    let place = path.display();
    let opened = File::open(&path).and_then(|mut file| {
        let mode = file.metadata()?.mode();
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((mode, text))
    });
    let (mode, text) = match opened {
        Ok(read) => read,
        Err(error) => {
            let message = format!(
                "the profile {name:?} is looked for in {place}, which cannot be read: {error}"
            );
            return fail(ErrorKind::InvalidConfig, message);
        }
    };
    if mode & 0o077 != 0 {
        let message = format!("others may read {place}, which holds passwords: chmod 600 {place}");
        return fail(ErrorKind::PermissionDenied, message);
    }
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let profiles: Vec<_> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, url)| (name.trim(), url.trim()))
        .collect();
    if let Some((_, url)) = profiles.iter().find(|(known, _)| *known == name) {
        return Ok((*url).to_owned());
    }
    let known: Vec<_> = profiles.iter().map(|(name, _)| *name).collect();
    let message = format!(
        "{place} has no profile {name:?}; it has: {}",
        known.join(", ")
    );
    fail(ErrorKind::InvalidConfig, message)
}
