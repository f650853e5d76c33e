//! Which bucket, and how it is used.

use crate::config::secret::shown;
use crate::config::setters;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Whose interface a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// Amazon S3, and what speaks its protocol: MinIO, Ceph, Cloudflare R2.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage; a bucket is a container there.
    Azure,
}

impl Provider {
    /// The scheme of its URLs.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// Where credentials are looked for, for a person who has none.
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::S3 => {
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile of ~/.aws/credentials \
                 (AWS_PROFILE), or the role of the machine"
            }
            Self::Gcs => "GOOGLE_APPLICATION_CREDENTIALS, or the service account of the machine",
            Self::Azure => {
                "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, AZURE_CLIENT_ID and \
                 its like, or the identity of the machine"
            }
        }
    }
}

/// How to reach a bucket, and which of its objects are ours. `Debug` hides secrets.
///
/// What is not given here is read from the environment, by the conventions of each service
/// (`AWS_…`, `GOOGLE_…`, `AZURE_…`), in every process that opens the bucket.
///
/// ```
/// use proxystore::connectors::object_store::{ObjectStoreConfig, Provider};
///
/// let config = ObjectStoreConfig::new(Provider::S3, "bucket")
///     .endpoint("http://minio.example.org:9000")
///     .password("sesame");
/// assert_eq!(config.namespace, "proxystore");
/// assert!(!format!("{config:?}").contains("sesame"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectStoreConfig {
    /// Whose interface the service speaks.
    pub provider: Provider,
    /// The bucket, or container. It must be there already.
    pub bucket: String,
    /// What our names begin with, before the namespace; may have `/` in it, and may be empty.
    pub prefix: String,
    /// Under the prefix: connectors with the same namespace share their objects.
    pub namespace: String,
    /// Address of the service, if it is not the provider's own.
    pub endpoint: Option<String>,
    /// Region of the bucket (S3).
    pub region: Option<String>,
    /// Access key id (S3) or name of the storage account (Azure).
    pub username: Option<String>,
    /// Secret access key (S3) or account key (Azure). `${NAME}` stands for what the environment
    /// variable of that name says, so that it can be sent to other processes.
    pub password: Option<String>,
    /// Session token of temporary credentials (S3); `${NAME}` as for the password.
    pub session_token: Option<String>,
    /// Which section of `~/.aws/credentials` to use (S3); `AWS_PROFILE` if not given.
    pub aws_profile: Option<String>,
    /// File with the key of a service account (Google).
    pub service_account: Option<PathBuf>,
    /// Whether to send requests without credentials.
    pub anonymous: bool,
    /// Whether the bucket's name is part of the host's (S3).
    pub virtual_hosted: bool,
    /// Certificates (PEM) of the authorities to trust; the system's if not given.
    pub ca_file: Option<PathBuf>,
    /// Whether a [`url`](crate::Connector::url) may hold secrets, for other processes.
    pub allow_secret: bool,
    /// The name of the profile that all this was read from, which stands for it elsewhere.
    pub profile: Option<String>,
    /// Whether objects can have leases. Each get then asks for the object's lease, in a small
    /// request beside that for the object itself.
    pub leases: bool,
    /// What [`close`](crate::Connector::close) does when its caller leaves the choice to the
    /// configuration.
    pub clear_on_close: bool,
    /// Longest time for making a connection.
    pub connect_timeout: Duration,
    /// Longest time without an answer, or without any byte of it.
    pub timeout: Duration,
    /// How often a request is repeated that the service was too busy for, or whose connection
    /// dropped, after longer and longer pauses.
    pub retries: u32,
    /// No request is repeated after this time.
    pub retry_timeout: Duration,
}

setters!(ObjectStoreConfig {
    bucket: impl Into<String>,
    prefix: impl Into<String>,
    namespace: impl Into<String>,
    endpoint: impl Into<String>,
    region: impl Into<String>,
    username: impl Into<String>,
    password: impl Into<String>,
    session_token: impl Into<String>,
    aws_profile: impl Into<String>,
    service_account: impl Into<PathBuf>,
    ca_file: impl Into<PathBuf>,
    profile: impl Into<String>,
} {
    provider: Provider,
    anonymous: bool,
    virtual_hosted: bool,
    allow_secret: bool,
    leases: bool,
    clear_on_close: bool,
    connect_timeout: Duration,
    timeout: Duration,
    retries: u32,
    retry_timeout: Duration,
});

impl ObjectStoreConfig {
    /// A bucket with what the environment says.
    #[must_use]
    pub fn new(provider: Provider, bucket: impl Into<String>) -> Self {
        Self {
            provider,
            bucket: bucket.into(),
            prefix: String::new(),
            namespace: "proxystore".to_owned(),
            endpoint: None,
            region: None,
            username: None,
            password: None,
            session_token: None,
            aws_profile: None,
            service_account: None,
            anonymous: false,
            virtual_hosted: false,
            ca_file: None,
            allow_secret: false,
            profile: None,
            leases: true,
            clear_on_close: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retries: 8,
            retry_timeout: Duration::from_secs(60),
        }
    }

    /// The place in words, without credentials.
    pub(super) fn place(&self) -> String {
        let (scheme, bucket) = (self.provider.scheme(), &self.bucket);
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let at = match &self.endpoint {
            Some(endpoint) => format!(" at {endpoint}"),
            None => String::new(),
        };
        format!("{scheme}://{bucket}{slash}{}{at}", self.prefix)
    }

    /// # Errors
    /// [`ErrorKind::InvalidConfig`], with the name of the field.
    pub(super) fn check(&self) -> Result<()> {
        let scheme = self.provider.scheme();
        let wrong = |why: &str| {
            let message = format!("{scheme}://{}: {why}", self.bucket);
            Err(Error::new(ErrorKind::InvalidConfig, message).with_connector(super::KIND))
        };
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return wrong("name the bucket, without `/`: `s3://bucket/prefix`");
        }
        let parts = self.prefix.split('/').chain([self.namespace.as_str()]);
        let plain = |part: &str| {
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
            part != "." && part != ".." && !part.is_empty() && part.bytes().all(sound)
        };
        let without_prefix = usize::from(self.prefix.is_empty());
        if !parts.skip(without_prefix).all(plain) {
            return wrong(
                "`namespace` and each part of the prefix must be of letters, digits and `-_.=`",
            );
        }
        if let Some(endpoint) = &self.endpoint {
            let rest = endpoint
                .strip_prefix("http://")
                .or_else(|| endpoint.strip_prefix("https://"));
            if rest.is_none_or(str::is_empty) {
                return wrong("`endpoint` should be a URL such as `http://127.0.0.1:9000`");
            }
            if endpoint.contains(['@', '?', '#']) || endpoint.contains(char::is_whitespace) {
                return wrong("`endpoint` should be no more than scheme, host, port and path");
            }
        }
        if self.connect_timeout.is_zero() || self.timeout.is_zero() {
            return wrong("`timeout` and `connect_timeout` must be more than 0 seconds");
        }
        let only = |given: bool, name: &str, whose: Provider| {
            if given && self.provider != whose {
                wrong(&format!(
                    "`{name}` is an option of {}:// alone",
                    whose.scheme()
                ))
            } else {
                Ok(())
            }
        };
        only(self.region.is_some(), "region", Provider::S3)?;
        only(self.session_token.is_some(), "session_token", Provider::S3)?;
        only(self.aws_profile.is_some(), "aws_profile", Provider::S3)?;
        only(self.virtual_hosted, "virtual_hosted", Provider::S3)?;
        only(
            self.service_account.is_some(),
            "service_account",
            Provider::Gcs,
        )?;
        let (name, word) = (self.username.is_some(), self.password.is_some());
        match self.provider {
            Provider::S3 if name != word => {
                wrong("access key id and secret access key need one another")
            }
            Provider::Gcs if name || word => wrong(
                "it takes no user and password: name the file of a service account \
                 (`service_account`)",
            ),
            Provider::Azure if word && !name => wrong("an account key needs its account"),
            Provider::S3 if self.session_token.is_some() && !word => {
                wrong("`session_token` belongs to an access key id and its secret")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ObjectStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreConfig")
            .field("provider", &self.provider)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("namespace", &self.namespace)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("username", &self.username.as_deref().map(shown))
            .field("password", &self.password.as_deref().map(shown))
            .field("session_token", &self.session_token.as_deref().map(shown))
            .field("aws_profile", &self.aws_profile)
            .field("service_account", &self.service_account)
            .field("anonymous", &self.anonymous)
            .field("virtual_hosted", &self.virtual_hosted)
            .field("ca_file", &self.ca_file)
            .field("allow_secret", &self.allow_secret)
            .field("profile", &self.profile)
            .field("leases", &self.leases)
            .field("clear_on_close", &self.clear_on_close)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("retry_timeout", &self.retry_timeout)
            .finish()
    }
}
