//! The rules of the X.509-SVID standard, which a certificate must keep beside being signed and in date.

use types::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, KeyUsage};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::{SpiffeId, SpiffeIdError, TrustDomain};

/// Why a certificate is not the identity of a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// It cannot be read.
    #[error("is not a readable X.509 certificate")]
    Unreadable,
    /// It does not have exactly one URI among its names.
    #[error("has {0} URIs among its names and must have exactly one, its SPIFFE id")]
    Uris(usize),
    /// The URI is not a SPIFFE id.
    #[error("has a wrong SPIFFE id: it {0}")]
    Id(SpiffeIdError),
    /// The id names a trust domain and no workload.
    #[error("has a SPIFFE id without a path, which only an authority may have")]
    NoWorkload,
    /// It is an authority's.
    #[error("may sign others and cannot be a workload's")]
    Authority,
    /// The key may not sign a handshake, or may sign certificates.
    #[error("must have the key usage digitalSignature and neither keyCertSign nor cRLSign")]
    KeyUsage,
    /// It is not meant for both ends of TLS.
    #[error("must have the extended key usages serverAuth and clientAuth")]
    ExtendedKeyUsage,
    /// It belongs to another platform.
    #[error("is {id}, which is not in the trust domain {expected}")]
    TrustDomain {
        /// What it says.
        id: SpiffeId,
        /// Where it should be from.
        expected: TrustDomain,
    },
    /// It belongs to another workload than the one that was called.
    #[error("is {id}, where {expected} was called")]
    Workload {
        /// What it says.
        id: SpiffeId,
        /// Who was called.
        expected: SpiffeId,
    },
    /// It cannot vouch for others.
    #[error("must be an authority's: CA true, key usage keyCertSign")]
    NoAuthority,
}

/// The workload that a leaf certificate names, if the certificate keeps the rules for one.
pub(crate) fn workload(der: &[u8], trust_domain: &TrustDomain) -> Result<SpiffeId, SvidError> {
    let id = workload_of_any(der)?;
    if !id.is_in(trust_domain) {
        return Err(SvidError::TrustDomain { id, expected: trust_domain.clone() });
    }
    Ok(id)
}

/// As [`workload`], of whatever trust domain.
pub(crate) fn workload_of_any(der: &[u8]) -> Result<SpiffeId, SvidError> {
    let certificate = parse(der)?;
    if certificate.is_ca() {
        return Err(SvidError::Authority);
    }
    let usage = key_usage(&certificate)?.ok_or(SvidError::KeyUsage)?;
    if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
        return Err(SvidError::KeyUsage);
    }
    let extended = certificate.extended_key_usage().or(Err(SvidError::Unreadable))?;
    if !extended.is_some_and(|usage| usage.value.server_auth && usage.value.client_auth) {
        return Err(SvidError::ExtendedKeyUsage);
    }
    let [uri] = uris(&certificate)?[..] else { return Err(SvidError::Uris(uris(&certificate)?.len())) };
    let id: SpiffeId = uri.parse().map_err(SvidError::Id)?;
    if id.path().is_empty() { Err(SvidError::NoWorkload) } else { Ok(id) }
}

/// Whether a certificate may stand among the roots of a trust domain. Its SPIFFE id is optional there, but
/// must be the trust domain's own.
pub(crate) fn authority(der: &[u8], trust_domain: &TrustDomain) -> Result<(), SvidError> {
    let certificate = parse(der)?;
    let signs = key_usage(&certificate)?.is_some_and(KeyUsage::key_cert_sign);
    if !certificate.is_ca() || !signs {
        return Err(SvidError::NoAuthority);
    }
    let ids = uris(&certificate)?.into_iter().filter(|uri| uri.starts_with("spiffe:"));
    for id in ids {
        let id: SpiffeId = id.parse().map_err(SvidError::Id)?;
        if !id.is_in(trust_domain) {
            return Err(SvidError::TrustDomain { id, expected: trust_domain.clone() });
        }
    }
    Ok(())
}

/// The first and the last second in which the certificate holds.
pub(crate) fn validity(der: &[u8]) -> Result<(Timestamp, Timestamp), SvidError> {
    let certificate = parse(der)?;
    let moment = |at: ASN1Time| Timestamp::from_micros(at.timestamp().saturating_mul(1_000_000));
    let validity = certificate.validity();
    Ok((moment(validity.not_before), moment(validity.not_after)))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, SvidError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(SvidError::Unreadable),
    }
}

fn key_usage<'a>(certificate: &'a X509Certificate<'_>) -> Result<Option<&'a KeyUsage>, SvidError> {
    let usage = certificate.key_usage().or(Err(SvidError::Unreadable))?;
    Ok(usage.map(|extension| extension.value))
}

fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, SvidError> {
    let names = certificate.subject_alternative_name().or(Err(SvidError::Unreadable))?;
    let names = names.map_or(&[][..], |extension| &extension.value.general_names);
    let uri = |name: &GeneralName<'a>| match *name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    };
    Ok(names.iter().filter_map(uri).collect())
}
