//! The relay: where endpoints behind firewalls meet. It introduces them to each other, and carries what they send,
//! encrypted from end to end, until and unless they find a straight way.
//!
//! It holds nothing and decides one thing: who may use it, by a list of keys, by a token, or both.

mod admission;
mod command;
mod file;

pub use admission::Admission;
pub use command::run;

use iroh_relay::server::{
    CertConfig, QuicConfig, RelayConfig as ServerRelay, Server, ServerConfig, TlsConfig,
};
use proxystore::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a relay is to run.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where it listens: TCP, and with TLS also UDP, by which endpoints learn their public address. Port 0 for any.
    pub listen: SocketAddr,
    /// Files with the certificate chain and its key, both PEM. Without them the relay speaks plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may use it.
    pub admission: Admission,
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    server: Server,
    tls: bool,
}

impl Relay {
    /// Starts a relay. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `InvalidConfig` for a certificate, key or list that cannot be used; `Io` for a port that cannot be opened.
    pub async fn start(config: RelayConfig) -> Result<Self> {
        config.admission.check()?;
        let mut relay = ServerRelay::new(config.listen);
        relay.access = Arc::new(config.admission);
        let mut server = ServerConfig::default();
        let tls = config.tls.is_some();
        if let Some((certificate, key)) = &config.tls {
            let settings = tls_settings(certificate, key)?;
            let manual = CertConfig::Manual {
                server_config: settings,
            };
            relay.tls = Some(TlsConfig::new(config.listen, manual));
            // The plain port, for portals of hotels, is of no use here.
            relay.http_bind_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            server.quic = Some(QuicConfig::new(config.listen));
        }
        server.relay = Some(relay);
        let server = Server::spawn(server).await.map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("the relay cannot listen at {}: {error:#}", config.listen),
            )
        })?;
        Ok(Self { server, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        if self.tls {
            self.server.https_addr()
        } else {
            self.server.http_addr()
        }
    }

    /// Stops it.
    pub async fn stop(self) {
        let _ = self.server.shutdown().await;
    }
}

/// The certificates in a PEM file, e.g. of the authority that signed a relay's.
///
/// # Errors
/// `InvalidConfig` if the file has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(path, &"it holds no certificate")),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn tls_settings(certificate: &Path, key: &Path) -> Result<rustls::ServerConfig> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|error| unusable(certificate, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidConfig,
        format!("{} cannot be used: {error}", path.display()),
    )
}
