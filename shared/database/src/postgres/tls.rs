use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::TlsMode;

/// Why a connection could not be encrypted as asked.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file with the root certificates is no PEM text, or not there.
    #[error("root certificates in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A root certificate is none.
    #[error("root certificates in {}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Error,
    },
    /// There is no root certificate in the file.
    #[error("root certificates in {}: {source}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: VerifierBuilderError,
    },
    /// The cryptography at hand knows none of the versions that are safe.
    #[error("choosing a version of TLS")]
    Versions(#[from] Error),
}

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
pub(super) fn client_config(mode: &TlsMode) -> Result<Option<ClientConfig>, TlsSetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let check = match mode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => Check::Nothing,
        TlsMode::VerifyCa(roots) => Check::Chain(verifier(roots, &provider)?),
        TlsMode::VerifyFull(roots) => Check::ChainAndName(verifier(roots, &provider)?),
    };
    let versions =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Verifier { check, provider });
    Ok(Some(versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsSetupError> {
    let unreadable = |source: pem::Error| TlsSetupError::Unreadable { path: path.to_owned(), source };
    let unusable = |source: Error| TlsSetupError::Unusable { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(unusable)?;
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().map_err(|source| TlsSetupError::Empty { path: path.to_owned(), source })
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
