//! What a node says when it is not, or not now, the one to ask.

use crate::connectors::redis::connection::{Failure, is_of_configuration, is_timeout};
use std::io;

/// What to do about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The slot belongs to this node: host, if it is not the one that said so, and port.
    Moved(Option<String>, u16),
    /// The slot is on its way to another node, key by key.
    Migrating,
    /// Another node will take over soon, or this one will be there again.
    Later,
    /// Nothing helps.
    None,
}

impl Remedy {
    pub(super) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Broken(error) if error.kind() == io::ErrorKind::Interrupted => Self::None,
            // What was sent may be at work still.
            Failure::Broken(error) if is_timeout(error) => Self::None,
            Failure::Broken(error) if is_of_configuration(error) => Self::None,
            Failure::Broken(_) => Self::Later,
            Failure::Server(words) => Self::of_words(words),
            _ => Self::None,
        }
    }

    fn of_words(words: &str) -> Self {
        let mut words = words.split(' ');
        match words.next().unwrap_or_default() {
            "MOVED" => match words.nth(1).and_then(address) {
                Some((host, port)) => Self::Moved(host, port),
                None => Self::None,
            },
            "ASK" | "TRYAGAIN" => Self::Migrating,
            "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY" => Self::Later,
            _ => Self::None,
        }
    }
}

/// `host:port`, where an IPv6 address stands without brackets, and no host for the same one.
pub(super) fn address(text: &str) -> Option<(Option<String>, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = Some(host).filter(|host| !host.is_empty() && *host != "?");
    Some((host.map(str::to_owned), port.parse().ok()?))
}

/// Where an `ASK` sends to.
pub(super) fn asked_of(words: &str) -> Option<(Option<String>, u16)> {
    address(words.strip_prefix("ASK ")?.split(' ').nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(words: &str) -> Remedy {
        Remedy::of(&Failure::Server(words.to_owned()))
    }

    #[test]
    fn redirections_are_read() {
        let host = |host: &str| Some(host.to_owned());
        assert_eq!(
            remedy("MOVED 3999 127.0.0.1:6381"),
            Remedy::Moved(host("127.0.0.1"), 6381)
        );
        assert_eq!(remedy("MOVED 1 ::1:7000"), Remedy::Moved(host("::1"), 7000));
        assert_eq!(remedy("MOVED 1 :7000"), Remedy::Moved(None, 7000));
        assert_eq!(remedy("MOVED 1 ?:7000"), Remedy::Moved(None, 7000));
        assert_eq!(
            asked_of("ASK 3 cache.example:1"),
            Some((host("cache.example"), 1))
        );
        assert_eq!(remedy("ASK 3 cache.example:1"), Remedy::Migrating);
        for odd in [
            "MOVED",
            "MOVED 1",
            "MOVED 1 host",
            "MOVED 1 host:x",
            "ERR no",
            "",
        ] {
            assert_eq!(remedy(odd), Remedy::None, "{odd:?}");
        }
        assert_eq!(asked_of("ASK"), None);
        assert_eq!(asked_of("ASK 1 host:70000"), None);
    }

    #[test]
    fn what_timed_out_is_not_repeated() {
        let broken = |kind| Remedy::of(&Failure::Broken(io::Error::from(kind)));
        assert_eq!(broken(io::ErrorKind::TimedOut), Remedy::None);
        assert_eq!(broken(io::ErrorKind::Interrupted), Remedy::None);
        assert_eq!(broken(io::ErrorKind::ConnectionReset), Remedy::Later);
        assert_eq!(remedy("CLUSTERDOWN Hash slot not served"), Remedy::Later);
    }
}
