//! Secrets that are not written down: `${NAME}` stands for an environment variable.

use crate::{Error, ErrorKind, Result};
use std::borrow::Cow;

/// The name of the environment variable that a text stands for, if it stands for one.
pub(crate) fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let sound = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    sound.then_some(name)
}

/// What a text stands for.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if the variable is not set here; its name is told, not more.
pub(crate) fn resolve<'a>(text: &'a str, connector: &'static str) -> Result<Cow<'a, str>> {
    let Some(name) = variable(text) else {
        return Ok(Cow::Borrowed(text));
    };
    std::env::var(name).map(Cow::Owned).map_err(|_| {
        let message = format!(
            "the environment variable {name} is to hold a secret, and is not set in this process"
        );
        Error::new(ErrorKind::InvalidConfig, message).with_connector(connector)
    })
}

/// What may be printed of a secret: a reference as it is.
pub(crate) fn shown(text: &str) -> &str {
    if variable(text).is_some() {
        text
    } else {
        "***"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_reference_is_one() {
        assert_eq!(variable("${REDIS_PASSWORD}"), Some("REDIS_PASSWORD"));
        for text in [
            "", "${}", "${A", "$A", "x${A}", "${A}x", "${A-B}", "hunter2",
        ] {
            assert_eq!(variable(text), None, "{text}");
            assert_eq!(resolve(text, "redis").unwrap(), text);
            assert_eq!(shown(text), "***");
        }
        let error = resolve("${PROXYSTORE_NO_SUCH_VARIABLE}", "redis").unwrap_err();
        assert!(error.to_string().contains("PROXYSTORE_NO_SUCH_VARIABLE"));
    }
}
