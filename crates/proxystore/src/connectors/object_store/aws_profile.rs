//! Keys that `aws configure` wrote into `~/.aws/credentials`, which the crate does not read.

use crate::{Error, ErrorKind, Result};
use std::env;
use std::path::PathBuf;

/// A section with keys in it. It does not print.
pub(super) struct Found {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
    pub(super) region: Option<String>,
}

fn file(variable: &str, name: &str) -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    set(variable)
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".aws").join(name)))
}

/// The keys of a profile: the one named, or that of `AWS_PROFILE`, or `default`.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if a profile was named, here or in the environment, that holds no
/// keys.
pub(super) fn read(name: Option<&str>) -> Result<Option<Found>> {
    let of_environment = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
    let wanted = name.or(of_environment.as_deref());
    let text = |path: Option<PathBuf>| {
        let text = path.and_then(|path| std::fs::read_to_string(path).ok());
        text.unwrap_or_default()
    };
    let credentials = text(file("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
    let settings = text(file("AWS_CONFIG_FILE", "config"));
    let profile = wanted.unwrap_or("default");
    let found = parse(&credentials, &settings, profile);
    if found.is_none() && wanted.is_some() {
        let message = format!(
            "the AWS profile {profile:?} holds no keys in ~/.aws/credentials; roles and single \
             sign-on in profiles are not supported: use `aws configure export-credentials`"
        );
        return Err(Error::new(ErrorKind::InvalidConfig, message).with_connector(super::KIND));
    }
    Ok(found)
}

fn parse(credentials: &str, settings: &str, profile: &str) -> Option<Found> {
    let setting = if profile == "default" {
        profile.to_owned()
    } else {
        format!("profile {profile}")
    };
    let of = |key| value(credentials, profile, key).or_else(|| value(settings, &setting, key));
    Some(Found {
        access_key_id: of("aws_access_key_id")?,
        secret_access_key: of("aws_secret_access_key")?,
        session_token: of("aws_session_token"),
        region: of("region"),
    })
}

/// The value of a key in a section.
fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut is_there = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            is_there = name.trim() == section;
        } else if let Some((name, value)) = line.split_once('=')
            && is_there
            && name.trim() == key
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found() {
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key=S/+=\n\n\
            # another\n[team]\naws_access_key_id=B\naws_secret_access_key=T\naws_session_token=U\n";
        let settings = "[default]\nregion=here\n[profile team]\nregion = there\n[profile none]\n";
        let found = parse(credentials, settings, "default").unwrap();
        assert_eq!(found.access_key_id, "A");
        assert_eq!(found.secret_access_key, "S/+=");
        assert_eq!(
            (found.session_token, found.region),
            (None, Some("here".into()))
        );
        let found = parse(credentials, settings, "team").unwrap();
        assert_eq!(
            (found.access_key_id.as_str(), found.session_token),
            ("B", Some("U".into()))
        );
        assert_eq!(found.region.as_deref(), Some("there"));
        assert!(parse(credentials, settings, "none").is_none());
    }
}
