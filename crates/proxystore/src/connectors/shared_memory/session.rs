//! What travels to another process so that it finds the same objects.

use crate::{Error, ErrorKind, Key, Result};
use std::path::PathBuf;

/// Names a place in a session: small, and made of text, to be part of a store's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "another field is another format")]
pub struct Session {
    /// The session: shared by all connectors of one program.
    pub name: String,
    /// The connector's own directory in it.
    pub place: String,
    /// Where shared memory is, e.g. `/dev/shm`.
    pub dir: PathBuf,
    /// Where the session spills to, e.g. `/tmp`.
    pub spill_dir: Option<PathBuf>,
    /// Which host and container it was made on, as `host:boot:mount:user`.
    pub origin: String,
}

impl Session {
    /// The URL with which another process joins it.
    pub(super) fn to_url(&self) -> Option<String> {
        use crate::percent::encode;
        let mut url = format!(
            "shm://?session={}&place={}&origin={}&dir={}",
            self.name,
            self.place,
            encode(&self.origin),
            encode(self.dir.to_str()?)
        );
        if let Some(spill) = &self.spill_dir {
            url.push_str("&spill_dir=");
            url.push_str(&encode(spill.to_str()?));
        }
        Some(url)
    }

    /// Names become parts of paths, and come from elsewhere.
    pub(super) fn check(&self) -> Result<()> {
        for (field, name) in [("name", &self.name), ("place", &self.place)] {
            if !Key::is_fresh_form(name) {
                return Err(invalid(format!(
                    "{field} {name:?} is not what a session is called"
                )));
            }
        }
        for (field, path) in [
            ("dir", Some(&self.dir)),
            ("spill_dir", self.spill_dir.as_ref()),
        ] {
            if path.is_some_and(|path| !path.is_absolute()) {
                return Err(invalid(format!("{field} is not an absolute path")));
            }
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).with_connector(super::KIND)
}
