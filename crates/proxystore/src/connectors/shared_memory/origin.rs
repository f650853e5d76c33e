//! Where shared memory is: which machine, since which start of it, and which mount.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// Tells shared memory apart from that of another host or container, whatever their paths are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// For people: the host's name.
    host: String,
    /// The kernel's number for this start of the machine; containers share it.
    boot: String,
    /// The file system: containers that share `/dev/shm` have the same one, others do not.
    mount: u64,
    /// Whose it is.
    user: u32,
}

impl Origin {
    /// Of a file system of this machine, by the device number of a file on it.
    pub(super) fn here(mount: u64) -> Self {
        Self {
            host: host(),
            boot: boot(),
            mount,
            user: user(),
        }
    }

    pub(super) fn user(&self) -> u32 {
        self.user
    }

    pub(super) fn mount(&self) -> u64 {
        self.mount
    }

    /// Whether this is of the machine's present run.
    pub(super) fn is_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// A part of file names: which run of which machine, and which mount.
    pub(super) fn mark(&self) -> String {
        format!("{}-{:x}", self.boot, self.mount)
    }

    /// The error for a use somewhere else.
    pub(super) fn elsewhere(&self) -> Error {
        let here = host();
        let place = if self.is_this_boot() {
            format!(
                "in another container of this machine (made on {:?}, used on {here:?})",
                self.host
            )
        } else {
            format!("on the host {:?}, but this is {here:?}", self.host)
        };
        Error::new(
            ErrorKind::WrongHost,
            format!(
                "the object lives in shared memory {place}: for objects that travel between hosts or containers use a redis, file or endpoint store"
            ),
        )
        .with_connector(super::KIND)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            boot,
            mount,
            user,
        } = self;
        write!(f, "{host}:{boot}:{mount:x}:{user}")
    }
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The host's name may hold a colon, the rest cannot.
        let parse = || {
            let mut parts = text.rsplitn(4, ':');
            let user = parts.next()?.parse().ok()?;
            let mount = u64::from_str_radix(parts.next()?, 16).ok()?;
            let boot = parts.next()?.to_owned();
            let host = parts.next()?.to_owned();
            Some(Self {
                host,
                boot,
                mount,
                user,
            })
        };
        parse().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("origin {text:?} is not of the form host:boot:mount:user"),
            )
            .with_connector(super::KIND)
        })
    }
}

pub(super) fn user() -> u32 {
    // SAFETY: no more than a number comes back.
    unsafe { libc::geteuid() }
}

/// The first half of the kernel's boot id; empty where there is none. Read anew each time: a lazy
/// cell that a fork finds half-filled would hang the child.
pub(super) fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect()
}

fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: pointer and length describe the array; its last byte stays zero.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..len]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        for host in ["node17", "", "a:b"] {
            let origin = Origin {
                host: host.to_owned(),
                boot: "3f2a9c01b2d4".to_owned(),
                mount: 0x1f,
                user: 1000,
            };
            assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
        }
        assert!("node17".parse::<Origin>().is_err());
    }

    #[test]
    fn a_use_elsewhere_names_the_host_and_what_to_do() {
        let mut origin = Origin::here(1);
        assert!(origin.elsewhere().to_string().contains("another container"));
        origin.boot = "000000000000".to_owned();
        origin.host = "node17".to_owned();
        let error = origin.elsewhere();
        assert_eq!(error.kind(), ErrorKind::WrongHost);
        for word in ["node17", "redis", "file", "endpoint"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
