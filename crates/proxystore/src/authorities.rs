//! Which authorities a TLS connection trusts.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io;
use std::path::Path;

/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities of a file, or those of the system.
pub(crate) fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
        return Ok(roots);
    }
    let named = std::env::var("SSL_CERT_FILE").ok();
    let bundle = named.as_deref().into_iter().chain(BUNDLES);
    let Some(bundle) = bundle.map(Path::new).find(|path| path.exists()) else {
        return Err(io::Error::other(
            "this system has no list of authorities to trust: give `ca_file`",
        ));
    };
    // The system's list may hold what this library does not read.
    let (_added, _ignored) = roots.add_parsable_certificates(certificates(bundle)?);
    Ok(roots)
}

/// Certificates in PEM.
pub(crate) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unread(path, error))?;
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|error| unread(path, error))?;
    if read.is_empty() {
        return Err(unread(path, "it holds no certificate in PEM"));
    }
    Ok(read)
}

/// A file of the configuration that cannot be read.
pub(crate) fn unread(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("reading {}: {why}", path.display()),
    )
}
