//! Secrets in files that nobody but their owner may read.

use proxystore::{Error, ErrorKind, Result};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Longest secret that is read.
const LONGEST: u64 = 64 << 10;

/// The text of a file, without the white space around it. `what` names it in errors, such as
/// `token file`.
///
/// # Errors
/// `PermissionDenied` where others may read the file, with the command that mends it;
/// `InvalidConfig` if it is empty; and what the operating system refuses.
pub(crate) fn read(path: &Path, what: &str) -> Result<String> {
    let failed = |error| {
        Error::io(
            error,
            format!("the {what} {} cannot be read", path.display()),
        )
    };
    // A pipe in its place must not make us wait.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    // Of the file that is read, not of one that takes its name in between.
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the {what} {0} can be read by others: run `chmod 600 {0}`, and if somebody may \
                 have read it, make a new one",
                path.display()
            ),
        ));
    }
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("the {what} {} is empty", path.display()),
        ));
    }
    Ok(secret.to_owned())
}
