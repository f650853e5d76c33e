//! Requests over pooled connections: our TLS under them, and an end to waiting.

use crate::authorities;
use crate::connectors::object_store::config::ObjectStoreConfig;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How slow a link may be before a request that sends something counts as unanswered, in bytes a
/// second.
const SLOWEST: u64 = 64 << 10;
/// How long a metadata service of a cloud's machine may take; elsewhere there is none.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that are kept when idle, and for how long: servers close them after some minutes.
const KEPT: usize = 32;
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Makes clients of one configuration.
#[derive(Debug)]
pub(super) struct Lines {
    connect_timeout: Duration,
    timeout: Duration,
    tls: ClientConfig,
}

impl Lines {
    pub(super) fn new(config: &ObjectStoreConfig) -> io::Result<Self> {
        let roots = match authorities::roots(config.ca_file.as_deref()) {
            Ok(roots) => roots,
            // Whether there are any is of no matter then.
            Err(_) if config.ca_file.is_none() && is_plain(config) => RootCertStore::empty(),
            Err(error) => return Err(error),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            tls,
        })
    }

    /// The options with which the crate makes its builders' clients.
    pub(super) fn options(&self) -> ClientOptions {
        // What is of importance is set below; this marks the clients of metadata services, for
        // which the crate sets another one.
        ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(self.connect_timeout + Duration::from_nanos(1))
    }
}

fn is_plain(config: &ObjectStoreConfig) -> bool {
    let endpoint = config.endpoint.as_deref();
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

/// The same lines for several clients.
#[derive(Clone, Debug)]
pub(super) struct SharedLines(pub(super) Arc<Lines>);

impl HttpConnector for SharedLines {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        use object_store::ClientConfigKey::ConnectTimeout;
        let lines = &self.0;
        let ours = lines.options().get_config_value(&ConnectTimeout);
        let is_metadata = options.get_config_value(&ConnectTimeout) != ours;
        let (connect_timeout, timeout) = if is_metadata {
            (METADATA_TIMEOUT, METADATA_TIMEOUT)
        } else {
            (lines.connect_timeout, lines.timeout)
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(lines.tls.clone())
            .user_agent(concat!("proxystore/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // One connection for each part on its way: HTTP/2 would share one among them.
            .http1_only()
            .pool_max_idle_per_host(KEPT)
            .pool_idle_timeout(KEPT_FOR)
            .connect_timeout(connect_timeout)
            .build()
            .map_err(|error| object_store::Error::Generic {
                store: "HTTP",
                source: Box::new(error),
            })?;
        Ok(HttpClient::new(Line { client, timeout }))
    }
}

/// A client whose servers must answer in time.
#[derive(Debug)]
struct Line {
    client: reqwest::Client,
    timeout: Duration,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Line {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = request.body().content_length() as u64;
        let limit = self.timeout + Duration::from_secs(sent / SLOWEST);
        let call = self.client.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, call).await {
                Ok(answer) => answer,
                Err(_) => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                    Err(HttpError::new(HttpErrorKind::Timeout, error))
                }
            }
        })
    }
}
