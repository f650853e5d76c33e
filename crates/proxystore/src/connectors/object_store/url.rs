//! A configuration as a URL, and the other way round.

use super::config::{ObjectStoreConfig, Provider};
use crate::Result;
use crate::config::Url;
use crate::config::secret::variable;
use crate::percent::encode;
use std::fmt::Write;
use std::path::PathBuf;

/// Ends a scheme whose host is the name of a profile.
const PROFILE: &str = "+profile";

impl ObjectStoreConfig {
    /// Reads `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix` with their
    /// options, or `s3+profile://name`.
    ///
    /// ```
    /// use proxystore::config::Url;
    /// use proxystore::connectors::object_store::ObjectStoreConfig;
    ///
    /// let url = Url::parse("s3://results/run-7?endpoint=http://127.0.0.1:9000&region=eu-west-1")?;
    /// let config = ObjectStoreConfig::from_url(url)?;
    /// assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("results", "run-7"));
    /// # Ok::<(), proxystore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), with what is wrong.
    pub fn from_url(mut url: Url) -> Result<Self> {
        if url.scheme().ends_with(PROFILE) {
            return Self::of_profile(url);
        }
        let provider = match url.scheme() {
            "s3" => Provider::S3,
            "gs" => Provider::Gcs,
            "az" => Provider::Azure,
            _ => return Err(url.invalid("it should begin with `s3://`, `gs://` or `az://`")),
        };
        let Some(bucket) = url.host().map(str::to_owned) else {
            return Err(url.invalid("name the bucket: `s3://bucket/prefix`"));
        };
        if url.port().is_some() {
            return Err(url.invalid(
                "after `://` comes the name of the bucket; the address of a service of one's own \
                 is the option `endpoint`",
            ));
        }
        let default = Self::new(provider, bucket);
        let config = Self {
            prefix: url.path().trim_matches('/').to_owned(),
            username: url.username().map(str::to_owned),
            password: url.password().map(str::to_owned),
            namespace: url.take("namespace")?.unwrap_or(default.namespace),
            endpoint: url.take("endpoint")?,
            region: url.take("region")?,
            session_token: url.take("session_token")?,
            aws_profile: url.take("aws_profile")?,
            service_account: url.take::<PathBuf>("service_account")?,
            anonymous: url.take("anonymous")?.unwrap_or(default.anonymous),
            virtual_hosted: url
                .take("virtual_hosted")?
                .unwrap_or(default.virtual_hosted),
            ca_file: url.take::<PathBuf>("ca_file")?,
            allow_secret: url.take("allow_secret")?.unwrap_or(default.allow_secret),
            leases: url.take("leases")?.unwrap_or(default.leases),
            clear_on_close: url.take("clear")?.unwrap_or(default.clear_on_close),
            connect_timeout: url
                .take("connect_timeout")?
                .unwrap_or(default.connect_timeout),
            timeout: url.take("timeout")?.unwrap_or(default.timeout),
            retries: url.take("retries")?.unwrap_or(default.retries),
            retry_timeout: url.take("retry_timeout")?.unwrap_or(default.retry_timeout),
            profile: None,
            provider,
            bucket: default.bucket,
        };
        url.finish()?;
        config.check()?;
        Ok(config)
    }

    /// What a profile says. Options of the URL itself are refused: they would be lost elsewhere.
    fn of_profile(url: Url) -> Result<Self> {
        let name = url.host().unwrap_or_default().to_owned();
        let text = crate::config::profile::read(&name, super::KIND)?;
        let scheme = url.scheme().trim_end_matches(PROFILE).to_owned();
        url.finish()?;
        let inner = Url::parse(&text)?;
        if inner.scheme() != scheme {
            return Err(inner.invalid(&format!(
                "the profile was to name a URL that begins with `{scheme}://`"
            )));
        }
        Ok(Self {
            profile: Some(name),
            ..Self::from_url(inner)?
        })
    }

    /// Whether a secret stands in it as it is, which must not be sent to other processes.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        let secrets = [&self.password, &self.session_token];
        let written = secrets
            .into_iter()
            .flatten()
            .any(|text| variable(text).is_none());
        written && !self.allow_secret && self.profile.is_none()
    }

    /// What another process is told: nothing, if that would be a secret that nobody said to tell.
    pub(super) fn reference(&self) -> Option<String> {
        if self.holds_secret() {
            None
        } else {
            self.to_url()
        }
    }

    /// The URL that [`from_url`](Self::from_url) reads, without `clear`: who opens it elsewhere
    /// does not own the objects. None stands for a path that no URL can hold.
    pub(super) fn to_url(&self) -> Option<String> {
        let scheme = self.provider.scheme();
        if let Some(name) = &self.profile {
            return Some(format!("{scheme}{PROFILE}://{}", encode(name)));
        }
        let user = match (&self.username, &self.password) {
            (None, _) => String::new(),
            (Some(name), None) => format!("{}@", secret_part(name)),
            (Some(name), Some(password)) => {
                format!("{}:{}@", secret_part(name), secret_part(password))
            }
        };
        let mut url = format!("{scheme}://{user}{}", encode(&self.bucket));
        if !self.prefix.is_empty() {
            let _ = write!(url, "/{}", encode(&self.prefix));
        }
        let default = Self::new(self.provider, "");
        let seconds = |time: std::time::Duration| format!("{}", time.as_secs_f64());
        let changed = |flag: bool, usual: bool| (flag != usual).then(|| flag.to_string());
        let path = |path: &Option<PathBuf>| match path {
            None => Some(None),
            Some(path) => path.to_str().map(|text| Some(encode(text))),
        };
        let options = [
            (
                "namespace",
                (self.namespace != default.namespace).then(|| encode(&self.namespace)),
            ),
            ("endpoint", self.endpoint.as_deref().map(encode)),
            ("region", self.region.as_deref().map(encode)),
            (
                "session_token",
                self.session_token.as_deref().map(secret_part),
            ),
            ("aws_profile", self.aws_profile.as_deref().map(encode)),
            ("service_account", path(&self.service_account)?),
            ("anonymous", changed(self.anonymous, default.anonymous)),
            (
                "virtual_hosted",
                changed(self.virtual_hosted, default.virtual_hosted),
            ),
            ("ca_file", path(&self.ca_file)?),
            (
                "allow_secret",
                changed(self.allow_secret, default.allow_secret),
            ),
            ("leases", changed(self.leases, default.leases)),
            (
                "connect_timeout",
                (self.connect_timeout != default.connect_timeout)
                    .then(|| seconds(self.connect_timeout)),
            ),
            (
                "timeout",
                (self.timeout != default.timeout).then(|| seconds(self.timeout)),
            ),
            (
                "retries",
                (self.retries != default.retries).then(|| self.retries.to_string()),
            ),
            (
                "retry_timeout",
                (self.retry_timeout != default.retry_timeout).then(|| seconds(self.retry_timeout)),
            ),
        ];
        let mut separator = '?';
        for (name, value) in options {
            if let Some(value) = value {
                let _ = write!(url, "{separator}{name}={value}");
                separator = '&';
            }
        }
        Some(url)
    }
}

/// A reference as it is; anything else so that a `/` does not end it.
fn secret_part(text: &str) -> String {
    match variable(text) {
        Some(_) => text.to_owned(),
        None => encode(text).replace('/', "%2F"),
    }
}
