//! TLS under a connection.

use crate::config::setters;
use std::path::PathBuf;

/// How to speak TLS with a server.
///
/// ```
/// use proxystore::connectors::redis::{RedisConfig, TlsConfig};
///
/// let tls = TlsConfig::default().ca_file("/etc/ssl/our-ca.pem");
/// assert!(RedisConfig::default().tls(tls).tls.is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities to trust; the system's if not given.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate chain (PEM), where the server asks for one.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub private_key: Option<PathBuf>,
    /// The name that the server's certificate must be for; the host's if not given.
    pub server_name: Option<String>,
}

setters!(TlsConfig {
    ca_file: impl Into<PathBuf>,
    certificate: impl Into<PathBuf>,
    private_key: impl Into<PathBuf>,
    server_name: impl Into<String>,
} {});

impl TlsConfig {
    /// As options of a URL. None stands for a path that no URL can hold.
    pub(super) fn options(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_str().map(str::to_owned));
        [
            ("ca_file", path(&self.ca_file)),
            ("certificate", path(&self.certificate)),
            ("private_key", path(&self.private_key)),
            ("server_name", self.server_name.clone().map(Some)),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

#[cfg(feature = "tls")]
pub(super) use session::Session;

#[cfg(feature = "tls")]
mod session {
    use super::TlsConfig;
    use crate::authorities::{certificates, roots, unread};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection};
    use std::io::{self, IoSlice, Read, Write};
    use std::sync::Arc;

    /// One side of a TLS connection.
    pub(in super::super) struct Session(Box<ClientConnection>);

    impl Session {
        pub(in super::super) fn new(config: &TlsConfig, host: &str) -> io::Result<Self> {
            let name = config.server_name.as_deref().unwrap_or(host).to_owned();
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(roots(config.ca_file.as_deref())?);
            let client = match (&config.certificate, &config.private_key) {
                (Some(chain), Some(key)) => {
                    let key =
                        PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error))?;
                    builder
                        .with_client_auth_cert(certificates(chain)?, key)
                        .map_err(io::Error::other)?
                }
                (None, None) => builder.with_no_client_auth(),
                _ => {
                    return Err(io::Error::other(
                        "`certificate` and `private_key` need one another",
                    ));
                }
            };
            let session =
                ClientConnection::new(Arc::new(client), name).map_err(io::Error::other)?;
            Ok(Self(Box::new(session)))
        }

        pub(in super::super) fn send(
            &mut self,
            mut socket: impl Read + Write,
            slices: &[IoSlice<'_>],
        ) -> io::Result<usize> {
            let sent = rustls::Stream::new(&mut *self.0, &mut socket).write_vectored(slices)?;
            Ok(sent)
        }

        /// Sends what is still on this side.
        pub(in super::super) fn flush(
            &mut self,
            mut socket: impl Read + Write,
        ) -> io::Result<usize> {
            rustls::Stream::new(&mut *self.0, &mut socket).flush()?;
            Ok(1)
        }

        pub(in super::super) fn receive(
            &mut self,
            mut socket: impl Read + Write,
            target: &mut [u8],
        ) -> io::Result<usize> {
            rustls::Stream::new(&mut *self.0, &mut socket).read(target)
        }

        /// Whether something is here already, so that the socket need not be waited for.
        pub(in super::super) fn has_more(&mut self) -> bool {
            let state = self.0.process_new_packets();
            state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
        }
    }

    impl std::fmt::Debug for Session {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Session")
        }
    }
}
