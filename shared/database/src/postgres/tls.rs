use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::TlsMode;

/// How much is asked of the server's certificate.
#[derive(Debug)]
enum Check {
    /// Nothing: the line is private, whoever is at its other end.
    Nothing,
    /// Its chain.
    Chain(Arc<WebPkiServerVerifier>),
    /// Its chain and its name.
    ChainAndName(Arc<WebPkiServerVerifier>),
}

/// rustls' client for `mode`, or nothing where the connection stays plain.
pub(super) fn client_config(mode: &TlsMode) -> Result<Option<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let check = match mode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => Check::Nothing,
        TlsMode::VerifyCa(roots) => Check::Chain(verifier(roots, &provider)?),
        TlsMode::VerifyFull(roots) => Check::ChainAndName(verifier(roots, &provider)?),
    };
    let versions =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| error.to_string())?;
    let verifier = Arc::new(Verifier { check, provider });
    Ok(Some(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let unreadable =
        |reason: &dyn std::fmt::Display| format!("root certificates in {}: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unreadable(&error))
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |by: &WebPkiServerVerifier| by.verify_server_cert(leaf, intermediates, name, ocsp, now);
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::ChainAndName(by) => verify(by),
            // The name is the last thing that is looked at, so the chain has been found good before.
            Check::Chain(by) => match verify(by) {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                verified => verified,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
