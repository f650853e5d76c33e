//! A URL, its parts checked and its options typed.

use super::nearest::nearest;
use super::option::OptionValue;
use crate::{Error, ErrorKind, Result};
use std::fmt;

/// A URL, taken apart: `scheme://user:password@host:port/path?option=value&…`, with `%41` for
/// characters that are special. `Debug` hides the password, and so do all errors.
///
/// Options are [taken](Url::take) one by one with their type; what nobody takes is an error that
/// names the nearest option there is.
///
/// ```
/// use proxystore::config::Url;
/// use std::time::Duration;
///
/// let mut url = Url::parse("redis://cache:6380/2?timeout=2.5")?;
/// assert_eq!((url.host(), url.port(), url.path()), (Some("cache"), Some(6380), "/2"));
/// assert_eq!(url.take::<Duration>("timeout")?, Some(Duration::from_millis(2500)));
/// url.finish()?;
///
/// let mut url = Url::parse("redis://cache?timeuot=2.5")?;
/// assert_eq!(url.take::<Duration>("timeout")?, None);
/// let error = url.finish().unwrap_err();
/// assert!(error.to_string().contains("did you mean `timeout`?"));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Url {
    scheme: String,
    username: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: String,
    options: Vec<(String, String)>,
    /// Options that were asked for.
    known: Vec<&'static str>,
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with what is wrong in it.
    pub fn parse(text: &str) -> Result<Self> {
        // What follows the scheme may hold a password anywhere, if it is written wrongly.
        let wrong = |why: &str| invalid(format!("the URL `{}…`: {why}", redacted(text)));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("it should begin with a scheme such as `redis://`"));
        };
        let sound = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !sound {
            return Err(wrong("the scheme, before `://`, is no name"));
        }
        if rest.contains('#') {
            return Err(wrong(
                "`#` has no meaning here; write %23 for the character",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return Err(wrong(
                "`@` after `?`; write %40 for the character, and %3F for a `?` in a password",
            ));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        // Of several, `host:port,host:port`, the last port is taken off; see `hosts`.
        let (others, last) = place.split_at(place.rfind(',').map_or(0, |at| at + 1));
        let no_port = "the port is no number up to 65535";
        let (host, port) = split_port(last).ok_or_else(|| wrong(no_port))?;
        if others.split(',').any(|one| split_port(one).is_none()) {
            return Err(wrong(no_port));
        }
        let host = &format!("{others}{host}");
        let decoded = |part: &str| {
            decode(part).ok_or_else(|| {
                wrong("a `%` is not followed by two hexadecimal digits, or they are not UTF-8")
            })
        };
        let (username, password) = match user.map(|user| user.split_once(':').unwrap_or((user, "")))
        {
            Some((name, password)) => (some_text(decoded(name)?), some_text(decoded(password)?)),
            None => (None, None),
        };
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(wrong(&format!(
                    "the option `{pair}` has no value: write `{pair}=…`"
                )));
            };
            let (name, value) = (decoded(name)?, decoded(value)?);
            if options.iter().any(|(other, _)| *other == name) {
                return Err(wrong(&format!("the option `{name}` is given twice")));
            }
            options.push((name, value));
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            username,
            password,
            host: some_text(decoded(host)?),
            port,
            path: decoded(path)?,
            options,
            known: Vec::new(),
        })
    }

    /// What stands before `://`, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The password. It is for whoever connects; do not print it.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Several hosts, each with its port, as in `host:port,host:port`.
    #[cfg(feature = "redis")]
    pub(crate) fn hosts(&self, default_port: u16) -> Vec<(String, u16)> {
        let Some(host) = &self.host else {
            return Vec::new();
        };
        // The last port was taken off already.
        let (first, last) = host.rsplit_once(',').unwrap_or(("", host));
        let mut hosts: Vec<_> = first
            .split(',')
            .filter(|one| !one.is_empty())
            .filter_map(split_port)
            .map(|(host, port)| (host.to_owned(), port.unwrap_or(default_port)))
            .collect();
        hosts.push((last.to_owned(), self.port.unwrap_or(default_port)));
        hosts
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What follows the host, with its first `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of an option, if it is given. Whoever reads a URL takes every option that it
    /// knows, and then calls [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the value is not of this type.
    pub fn take<T: OptionValue>(&mut self, name: &'static str) -> Result<Option<T>> {
        self.known.push(name);
        let Some(at) = self.options.iter().position(|(other, _)| other == name) else {
            return Ok(None);
        };
        let (_, value) = self.options.remove(at);
        match T::from_text(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.invalid(&format!(
                "`{name}={value}`: the value should be {}",
                T::EXPECTED
            ))),
        }
    }

    /// Says what is left that nobody took.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for an unknown option, with the nearest known one.
    pub fn finish(self) -> Result<()> {
        let Some((name, _)) = self.options.first() else {
            return Ok(());
        };
        let advice = match nearest(name, self.known.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None if self.known.is_empty() => "it takes none".to_owned(),
            None => format!("known are `{}`", self.known.join("`, `")),
        };
        Err(self.invalid(&format!("unknown option `{name}`; {advice}")))
    }

    /// Refuses the parts of a URL that have no meaning for its scheme.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if there is a user, a host or a port.
    pub fn refuse_host(&self) -> Result<()> {
        let given = self.username.is_some()
            || self.password.is_some()
            || self.port.is_some()
            || self.host.as_deref().is_some_and(|host| host != "localhost");
        if given {
            return Err(self.invalid(&format!(
                "this scheme takes no host: after `{}://` comes a `/` or nothing",
                self.scheme
            )));
        }
        Ok(())
    }

    /// An error about this URL.
    #[must_use]
    pub fn invalid(&self, why: &str) -> Error {
        invalid(format!("{}:// URL: {why}", self.scheme))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.iter().map(|(name, _)| name).collect();
        f.debug_struct("Url")
            .field("scheme", &self.scheme)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("path", &self.path)
            .field("options", &options)
            .finish()
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}

fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A text that could not be read, as far as no secret can be in it.
fn redacted(text: &str) -> &str {
    match text.find("://") {
        Some(at) => &text[..at + 3],
        None if text.contains('@') => "",
        None => text,
    }
}

/// `None` if there is a port that is none.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (
                host,
                if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':')?)
                },
            )
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    match port {
        None | Some("") => Some((host, None)),
        Some(port) => Some((host, Some(port.parse().ok()?))),
    }
}

/// Resolves `%41`.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bytes;
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn every_part_is_found() {
        let mut url =
            Url::parse("Redis://me:p%40ss%3A@cache.example:6380/2?a=1&b=x%20y&c=").unwrap();
        assert_eq!(url.scheme(), "redis");
        assert_eq!(url.username(), Some("me"));
        assert_eq!(url.password(), Some("p@ss:"));
        assert_eq!(url.host(), Some("cache.example"));
        assert_eq!(url.port(), Some(6380));
        assert_eq!(url.path(), "/2");
        assert_eq!(url.take::<u32>("a").unwrap(), Some(1));
        assert_eq!(url.take::<String>("b").unwrap().as_deref(), Some("x y"));
        assert_eq!(url.take::<String>("c").unwrap().as_deref(), Some(""));
        url.finish().unwrap();
    }

    #[test]
    fn parts_may_be_missing() {
        let url = Url::parse("file:///data/my%20objects").unwrap();
        assert_eq!((url.host(), url.path()), (None, "/data/my objects"));
        let url = Url::parse("redis://:secret@[::1]:7000").unwrap();
        assert_eq!((url.username(), url.password()), (None, Some("secret")));
        assert_eq!(
            (url.host(), url.port(), url.path()),
            (Some("::1"), Some(7000), "")
        );
        let url = Url::parse("memory://").unwrap();
        assert_eq!((url.host(), url.port(), url.path()), (None, None, ""));
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        for text in [
            "me:hunter2@host",
            "1x://me:hunter2@host",
            "redis://me:hunter2@host:port",
            "redis://me:hunter2@host:70000",
            "redis+cluster://me:hunter2@host:port,other:7000",
            "redis://me:hunter2@[::1",
            "redis://me:hunter2@[::1]7",
            "redis://me:hunter2%4@host",
            "redis://me:hunter2%ff@host",
            "redis://me:hunter2@host/#x",
            "redis://me:hunter2@host/?option",
            "redis://me:hunter2@host/?a=hunter2&a=2",
            "redis://me:12?hunter2@host/",
            "redis://me:12?a=hunter2@host/",
            "redis://me:hunter2?@host/",
            "redis://me:hunter2/@host/",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn options_are_typed() {
        let take = |text: &str| Url::parse(&format!("x://?o={text}")).unwrap();
        assert_eq!(take("off").take::<bool>("o").unwrap(), Some(false));
        assert_eq!(
            take("1MiB").take::<Bytes>("o").unwrap(),
            Some(Bytes(1 << 20))
        );
        assert_eq!(
            take("20kB").take::<Bytes>("o").unwrap(),
            Some(Bytes(20_000))
        );
        assert_eq!(
            take("250ms").take::<Duration>("o").unwrap(),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            take("3s").take::<Duration>("o").unwrap(),
            Some(Duration::from_secs(3))
        );
        let wrong = [
            take("maybe").take::<bool>("o").map(drop),
            take("-1").take::<u32>("o").map(drop),
            take("-1").take::<Duration>("o").map(drop),
            take("nan").take::<Duration>("o").map(drop),
            take("1XB").take::<Bytes>("o").map(drop),
            take("99999999TB").take::<Bytes>("o").map(drop),
            take("").take::<PathBuf>("o").map(drop),
        ];
        for result in wrong {
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("`o=") && error.contains("should be"),
                "{error}"
            );
        }
    }

    #[test]
    fn unknown_options_name_what_is_near() {
        let mut url = Url::parse("x://?tmieout=1").unwrap();
        url.take::<u32>("timeout").unwrap();
        url.take::<u32>("namespace").unwrap();
        let error = url.finish().unwrap_err().to_string();
        assert!(
            error.contains("`tmieout`") && error.contains("`timeout`?"),
            "{error}"
        );

        let mut url = Url::parse("x://?colour=1").unwrap();
        url.take::<u32>("timeout").unwrap();
        let error = url.finish().unwrap_err().to_string();
        assert!(error.contains("known are `timeout`"), "{error}");
        let error = Url::parse("x://?colour=1").unwrap().finish().unwrap_err();
        assert!(error.to_string().contains("takes none"), "{error}");
    }

    #[test]
    fn debug_hides_secrets() {
        let url = Url::parse("redis://me:hunter2@host?password=hunter2").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
