//! TLS 1.3 under an endpoint's key: raw public keys (RFC 7250) instead of certificates.

use super::wire::PROTOCOL_NAME;
use crate::identity::{PublicKey, SecretKey};
use proxystore::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, alg_id,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible,
    ServerConfig, SignatureScheme, version,
};
use std::sync::Arc;

/// What precedes the 32 bytes of a secret Ed25519 key in PKCS #8.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Bytes before the 32 of a public one in a SubjectPublicKeyInfo.
const PREFIX: usize = 12;

/// AES-128 first: a fifth quicker than AES-256, and bulk is what this is for.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn certified(key: &SecretKey, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let pkcs8 = [&PKCS8[..], &key.iroh().to_bytes()].concat();
    let signer = (provider.key_provider)
        .load_private_key(PrivatePkcs8KeyDer::from(pkcs8).into())
        .map_err(broken)?;
    let public = spki(&key.public());
    Ok(Arc::new(CertifiedKey::new(
        vec![CertificateDer::from(public)],
        signer,
    )))
}

fn spki(key: &PublicKey) -> Vec<u8> {
    rustls::sign::public_key_to_spki(&alg_id::ED25519, key.as_bytes()).to_vec()
}

/// The key that the other side of a connection has proven.
pub(super) fn proven(certificates: Option<&[CertificateDer<'_>]>) -> Option<PublicKey> {
    let [certificate] = certificates? else {
        return None;
    };
    let bytes: [u8; 32] = certificate.get(PREFIX..)?.try_into().ok()?;
    let key = PublicKey::from_bytes(bytes);
    (spki(&key) == certificate.as_ref()).then_some(key)
}

/// The configuration of whoever is called: every key may prove itself; the list is asked afterwards, so that a
/// refusal has words.
pub(super) fn server(key: &SecretKey) -> Result<Arc<ServerConfig>> {
    let provider = provider();
    let verifier = Verifier::new(None, &provider);
    let certified = certified(key, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(broken)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![PROTOCOL_NAME.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The configuration for calling one peer: another key at its address is refused.
pub(super) fn client(key: &SecretKey, peer: &PublicKey) -> Result<Arc<ClientConfig>> {
    let provider = provider();
    let verifier = Verifier::new(Some(*peer), &provider);
    let certified = certified(key, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)));
    config.alpn_protocols = vec![PROTOCOL_NAME.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn broken(error: rustls::Error) -> Error {
    Error::new(ErrorKind::Io, format!("TLS cannot be set up: {error}")).with_source(error)
}

#[derive(Debug)]
struct Verifier {
    /// Who it must be; `None` for anybody who proves a key.
    expected: Option<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(expected: Option<PublicKey>, provider: &CryptoProvider) -> Self {
        Self {
            expected,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        match proven(Some(std::slice::from_ref(certificate))) {
            Some(key)
                if others.is_empty() && self.expected.is_none_or(|expected| expected == key) =>
            {
                Ok(())
            }
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(certificate.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(certificate, others)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(certificate, others)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
