//! The crate's client of each service, with the credentials that its users are used to.

use super::aws_profile;
use super::config::{ObjectStoreConfig, Provider};
use super::failure;
use super::http::{Lines, SharedLines};
use crate::config::secret::resolve;
use crate::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// Pauses between repetitions: as short as the first at least, as long as the last at most, and
/// never the same for two clients.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// A client of a bucket. It asks nothing yet.
///
/// # Errors
/// [`ErrorKind::InvalidConfig`] if something is missing or wrong.
pub(super) fn client(config: &ObjectStoreConfig) -> Result<Arc<dyn ObjectStore>> {
    let lines = Lines::new(config).map_err(|error| {
        Error::new(ErrorKind::InvalidConfig, "TLS")
            .with_connector(super::KIND)
            .with_source(error)
    })?;
    let lines = SharedLines(Arc::new(lines));
    let built = match config.provider {
        Provider::S3 => s3(config, lines)?.build().map(arc),
        Provider::Gcs => gcs(config, lines)?.build().map(arc),
        Provider::Azure => azure(config, lines)?.build().map(arc),
    };
    built.map_err(|error| failure::of_configuration(config, &error))
}

fn arc(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}

fn retry(config: &ObjectStoreConfig) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: PAUSES.0,
            max_backoff: PAUSES.1,
            base: 2.0,
        },
        max_retries: config.retries as usize,
        retry_timeout: config.retry_timeout,
    }
}

/// What a field stands for.
fn value(text: &str) -> Result<String> {
    resolve(text, super::KIND).map(|text| text.into_owned())
}

fn s3(config: &ObjectStoreConfig, lines: SharedLines) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.bucket)
        .with_client_options(lines.0.options())
        .with_retry(retry(config))
        .with_http_connector(lines);
    if let Some(endpoint) = &config.endpoint {
        // Also over what the environment says.
        builder = builder
            .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint)
            .with_endpoint(endpoint);
    }
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if config.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    if config.anonymous {
        return Ok(builder.with_skip_signature(true));
    }
    if let (Some(name), Some(word)) = (&config.username, &config.password) {
        // A session token of the environment belongs to its own key.
        builder = AmazonS3Builder::clone(&builder)
            .with_access_key_id(value(name)?)
            .with_secret_access_key(value(word)?);
        return Ok(match &config.session_token {
            Some(token) => builder.with_token(value(token)?),
            None => without_token(builder),
        });
    }
    let is_in_environment = builder
        .get_config_value(&AmazonS3ConfigKey::AccessKeyId)
        .is_some();
    if (config.aws_profile.is_some() || !is_in_environment)
        && let Some(found) = aws_profile::read(config.aws_profile.as_deref())?
    {
        builder = builder
            .with_access_key_id(found.access_key_id)
            .with_secret_access_key(found.secret_access_key);
        builder = match found.session_token {
            Some(token) => builder.with_token(token),
            None => without_token(builder),
        };
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        if let (None, Some(found)) = (region, found.region) {
            builder = builder.with_region(found);
        }
    }
    Ok(builder)
}

/// The builder cannot forget a token: an empty one would be sent.
fn without_token(builder: AmazonS3Builder) -> AmazonS3Builder {
    let (Some(id), Some(secret)) = (
        builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId),
        builder.get_config_value(&AmazonS3ConfigKey::SecretAccessKey),
    ) else {
        return builder;
    };
    let credential = object_store::aws::AwsCredential {
        key_id: id,
        secret_key: secret,
        token: None,
    };
    builder.with_credentials(Arc::new(object_store::StaticCredentialProvider::new(
        credential,
    )))
}

fn gcs(config: &ObjectStoreConfig, lines: SharedLines) -> Result<GoogleCloudStorageBuilder> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&config.bucket)
        .with_client_options(lines.0.options())
        .with_retry(retry(config))
        .with_http_connector(lines);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    if let Some(path) = &config.service_account {
        builder = builder.with_service_account_path(path.to_string_lossy());
    }
    if config.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(builder)
}

fn azure(config: &ObjectStoreConfig, lines: SharedLines) -> Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(&config.bucket)
        .with_client_options(lines.0.options())
        .with_retry(retry(config))
        .with_http_connector(lines);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(account) = &config.username {
        builder = builder.with_account(value(account)?);
    }
    if let Some(key) = &config.password {
        builder = builder.with_access_key(value(key)?);
    }
    if config.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(builder)
}
