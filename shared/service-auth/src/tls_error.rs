use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};
use types::{Classify, ErrorClass};

use crate::SvidError;

/// Why a connection did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The connection broke during the handshake.
    #[error("the connection broke during the handshake")]
    Io(#[source] io::Error),
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The peer's certificate does not lead to a root of ours, or is not in date.
    #[error("the peer's certificate is not to be trusted")]
    Untrusted(#[source] rustls::Error),
    /// The peer's certificate is sound and not the identity that is wanted.
    #[error("the peer's certificate {0}")]
    Identity(SvidError),
    /// The peer refused us, for which it gave this reason.
    #[error("the peer refused the connection: {0:?}")]
    Refused(AlertDescription),
    /// The two ends have no application protocol in common.
    #[error("the peer speaks none of the protocols that were offered")]
    NoProtocol,
    /// The peer broke the rules of TLS, or speaks none.
    #[error("the handshake failed")]
    Handshake(#[source] rustls::Error),
}

impl TlsError {
    /// Whether the other end of a connection has refused to take up the handshake, among `error` and its causes. In TLS 1.3
    /// that shows only when something has been sent, of which it has read nothing (RFC 8446, section 6.2).
    pub fn is_refusal(error: &(dyn Error + 'static)) -> bool {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        causes.any(|cause| {
            // An I/O error's source is what its inner error was caused by, and not that one itself.
            let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
            matches!(tls, Some(rustls::Error::AlertReceived(alert)) if is_of_the_handshake(*alert))
        })
    }

    /// What went wrong in a word, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::NoCertificate => "no_certificate",
            Self::Untrusted(_) => "untrusted",
            Self::Identity(_) => "identity",
            Self::Refused(_) => "refused",
            Self::NoProtocol => "no_protocol",
            Self::Handshake(_) => "handshake",
        }
    }

    /// From what tokio-rustls gives: an I/O error around the error of TLS, if it was one.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::from_tls(tls.clone()),
            None => Self::Io(error),
        }
    }

    fn from_tls(error: rustls::Error) -> Self {
        match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::NoApplicationProtocol => Self::NoProtocol,
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::NoProtocol,
            rustls::Error::AlertReceived(alert) => Self::Refused(alert),
            rustls::Error::InvalidCertificate(ref why) => match broken_rule(why) {
                Some(rule) => Self::Identity(rule.clone()),
                None => Self::Untrusted(error),
            },
            other => Self::Handshake(other),
        }
    }
}

/// The broken rule that our verifier wrapped into an error of the handshake.
fn broken_rule(error: &CertificateError) -> Option<&SvidError> {
    match error {
        CertificateError::Other(other) => other.0.downcast_ref(),
        _ => None,
    }
}

impl Classify for TlsError {
    /// Nothing was sent over the connection, so nothing happened.
    fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

/// Whether it says that the certificate will not do, which is known before anything is read that comes after it.
fn is_of_the_handshake(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}
