//! The secret half of the key, and its file.

use super::PublicKey;
use proxystore::{Error, ErrorKind, Result};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What the file begins with, so that nobody takes the secret half for the public one.
const LABEL: &str = "proxystore-secret-key";

/// The secret half of an endpoint's key. Does not print.
#[derive(Clone)]
pub struct SecretKey(iroh::SecretKey);

impl SecretKey {
    /// A new key from the system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self(iroh::SecretKey::generate())
    }

    /// The key of these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(iroh::SecretKey::from_bytes(&bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(*self.0.public().as_bytes())
    }

    pub(crate) fn iroh(&self) -> &iroh::SecretKey {
        &self.0
    }

    /// Reads the key from its file.
    ///
    /// # Errors
    /// `PermissionDenied` where others than its owner may read the file, with the command that mends it;
    /// `InvalidConfig` for a file that holds no key; and what the operating system refuses.
    pub fn load(path: &Path) -> Result<Self> {
        let doing = || format!("the endpoint's key file {} cannot be read", path.display());
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| Error::io(error, doing()))?;
        let metadata = file.metadata().map_err(|error| Error::io(error, doing()))?;
        if !metadata.is_file() {
            return Err(invalid(path, "is not a regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "the endpoint's key file {0} can be read by others (mode {1:04o}): run `chmod 600 {0}`, and if \
                     somebody may have read it, make a new key",
                    path.display(),
                    metadata.mode() & 0o7777,
                ),
            ));
        }
        let mut text = String::new();
        file.take(1024)
            .read_to_string(&mut text)
            .map_err(|error| Error::io(error, doing()))?;
        let bytes = text
            .trim()
            .strip_prefix(LABEL)
            .and_then(|rest| super::bytes_of(rest.trim()))
            .ok_or_else(|| invalid(path, "holds no key"))?;
        Ok(Self::from_bytes(bytes))
    }

    /// Writes the key to a new file of mode 0600. Either the whole file appears, or none.
    ///
    /// # Errors
    /// `InvalidConfig` where there is a file of that name: a key is never overwritten.
    pub fn store(&self, path: &Path) -> Result<()> {
        let doing = || {
            format!(
                "the endpoint's key file {} cannot be written",
                path.display()
            )
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let written = (|| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            writeln!(file, "{LABEL} {}", super::hexadecimal(&self.0.to_bytes()))?;
            file.sync_all()?;
            fs::hard_link(&temporary, path)
        })();
        let _ = fs::remove_file(&temporary);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                invalid(path, "is there already, and a key is never overwritten")
            }
            _ => Error::io(error, doing()),
        })
    }

    /// Reads the key, or makes one where there is none yet. Of several processes that do so at once, all get the
    /// same key.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) and [`store`](Self::store).
    pub fn load_or_create(path: &Path) -> Result<Self> {
        if !path.exists()
            && let Err(error) = Self::generate().store(path)
            && !path.exists()
        {
            return Err(error);
        }
        Self::load(path)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {}…)", self.public().short())
    }
}

fn invalid(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidConfig,
        format!("the endpoint's key file {} {what}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("proxystore-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten() {
        let folder = Scratch::new("key-survives");
        let path = folder.path().join("endpoint.key");
        let key = SecretKey::load_or_create(&path).unwrap();
        assert_eq!(
            SecretKey::load_or_create(&path).unwrap().public(),
            key.public()
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let error = SecretKey::generate().store(&path).unwrap_err();
        assert!(error.to_string().contains("never overwritten"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn looser_modes_are_refused_with_the_command_that_mends_them() {
        let folder = Scratch::new("key-modes");
        let path = folder.path().join("endpoint.key");
        SecretKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = SecretKey::load(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let folder = Scratch::new("key-none");
        let path = folder.path().join("endpoint.key");
        let long = format!("{LABEL} {}", "0".repeat(63));
        for text in ["", "nothing", long.as_str(), "\u{fffd}"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = SecretKey::load(&path).unwrap_err();
            assert!(error.to_string().contains("holds no key"), "{error}");
        }
        let error = SecretKey::load(folder.path()).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[test]
    fn the_secret_does_not_print() {
        let key = SecretKey::from_bytes([9; 32]);
        assert!(!format!("{key:?}").contains("0909"));
    }
}
