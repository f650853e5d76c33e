//! Why a relay does not answer. The library tries again and again, and does not say.

use super::RelayAccess;
use iroh::RelayUrl;
use iroh_relay::tls::CaTlsConfig;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest time for a connection, and once more for the handshake.
const PATIENCE: Duration = Duration::from_secs(3);

/// What stands between us and a relay, or `None` if nothing does.
pub(super) async fn obstacle(access: &RelayAccess) -> Option<String> {
    let url: RelayUrl = access.url.parse().ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default()?;
    let stream = match timeout(PATIENCE, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Some(format!("nobody answers at TCP {host}:{port}: {error}")),
        Err(_) => return Some(format!("nobody answers at TCP {host}:{port}")),
    };
    if url.scheme() != "https" {
        return None;
    }
    let trust = match &access.roots {
        Some(roots) => CaTlsConfig::custom_roots(roots.clone()),
        None => CaTlsConfig::default(),
    };
    let config = trust.client_config(super::raw_key::provider()).ok()?;
    let name = ServerName::try_from(host.clone()).ok()?;
    let greeting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match timeout(PATIENCE, greeting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(explain(&host, &error)),
        Err(_) => Some(format!(
            "whoever answers at TCP {host}:{port} does not speak TLS"
        )),
    }
}

fn explain(host: &str, error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => format!(
            "its certificate is signed by nobody who is trusted here; if it signs itself, name it by \
             --relay-certificate at `configure` ({error})"
        ),
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("its certificate is for another name than {host} ({error})"),
        Some(Error::InvalidCertificate(CertificateError::Other(_))) => format!(
            "its certificate cannot be used: one that signs itself must not say CA:TRUE ({error})"
        ),
        Some(Error::InvalidCertificate(_)) => {
            format!("its certificate cannot be used ({error})")
        }
        _ => format!("no TLS with it: {error}"),
    }
}
