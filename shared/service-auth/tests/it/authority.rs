//! An authority that also signs what it should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use runtime::Clock;
use service_auth::{Identity, Pem};
use time::OffsetDateTime;
use types::Timestamp;

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const NOW: i64 = 1_785_000_000;

/// A clock that the test sets.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::reading(move || Timestamp::from_micros(NOW * 1_000_000 + hands.0.load(Ordering::Relaxed)))
    }
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) roots: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = leaf(&["spiffe://flotilla.internal"]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
        let roots = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), roots }
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Pem {
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pem { chain, key: key.serialize_pem().into() }
    }

    /// A certificate that is signed by a workload's, which is no authority.
    pub(crate) fn sign_by_workload(&self, params: &CertificateParams) -> Pem {
        let (key, signers_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let signer = leaf(&["spiffe://flotilla.internal/service/order-service"]);
        let signers = signer.signed_by(&signers_key, &self.issuer).unwrap().pem();
        let chain = params.signed_by(&key, &Issuer::new(signer, signers_key)).unwrap().pem();
        Pem { chain: chain + &signers, key: key.serialize_pem().into() }
    }

    pub(crate) fn identity(&self, name: &str, clock: &Clock) -> Identity {
        let pem = self.sign(&leaf(&[&format!("spiffe://flotilla.internal/service/{name}")]));
        Identity::from_pem(&pem, &self.roots, clock).unwrap()
    }
}

/// A workload's certificate as it should be, valid for an hour before and after the start.
pub(crate) fn leaf(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())).collect();
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW).unwrap() - HOUR;
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW).unwrap() + HOUR;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Every certificate that must not be taken for a workload's, with what is said of it.
pub(crate) fn unsound(authority: &Authority) -> Vec<(&'static str, Pem, &'static str)> {
    const ID: &str = "spiffe://flotilla.internal/service/user-service";
    let changed = |change: fn(&mut CertificateParams)| {
        let mut params = leaf(&[ID]);
        change(&mut params);
        authority.sign(&params)
    };
    vec![
        ("expired", changed(|p| p.not_after = p.not_before + HOUR / 2), "untrusted"),
        ("not yet valid", changed(|p| p.not_before += HOUR * 3 / 2), "untrusted"),
        ("of another authority", Authority::new().sign(&leaf(&[ID])), "untrusted"),
        ("signed by a workload", authority.sign_by_workload(&leaf(&[ID])), "untrusted"),
        ("an authority's", changed(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "untrusted"),
        (
            "for other purposes",
            changed(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
            "untrusted",
        ),
        (
            "of another trust domain",
            authority.sign(&leaf(&["spiffe://elsewhere/service/user-service"])),
            "is spiffe://elsewhere/service/user-service, which is not in the trust domain flotilla.internal",
        ),
        (
            "with two ids",
            authority.sign(&leaf(&[ID, "spiffe://flotilla.internal/operator"])),
            "has 2 URIs among its names and must have exactly one, its SPIFFE id",
        ),
        (
            "without names",
            authority.sign(&leaf(&[])),
            "has 0 URIs among its names and must have exactly one, its SPIFFE id",
        ),
        (
            "with a host's name alone",
            changed(|p| p.subject_alt_names = vec![SanType::DnsName("user-service".try_into().unwrap())]),
            "has 0 URIs among its names and must have exactly one, its SPIFFE id",
        ),
        (
            "with another URI",
            authority.sign(&leaf(&["https://flotilla.internal/service/user-service"])),
            "has a wrong SPIFFE id: it must start with spiffe://",
        ),
        (
            "with the id of the trust domain",
            authority.sign(&leaf(&["spiffe://flotilla.internal"])),
            "has a SPIFFE id without a path, which only an authority may have",
        ),
        (
            "whose key may not sign handshakes",
            changed(|p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
            "must have the key usage digitalSignature and neither keyCertSign nor cRLSign",
        ),
        (
            "whose key may sign certificates",
            changed(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
            "must have the key usage digitalSignature and neither keyCertSign nor cRLSign",
        ),
        (
            "without key usage",
            changed(|p| p.key_usages.clear()),
            "must have the key usage digitalSignature and neither keyCertSign nor cRLSign",
        ),
        (
            "without purposes",
            changed(|p| p.extended_key_usages.clear()),
            "must have the extended key usages serverAuth and clientAuth",
        ),
    ]
}
