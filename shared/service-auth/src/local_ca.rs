mod store;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use runtime::Clock;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use types::Timestamp;

use self::store::Store;
use crate::{Pem, SpiffeId, SvidError, TrustDomain, svid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The authority of a platform that runs on one machine: made at the first start, kept in a directory, and
/// replaced in time. It vouches for the default trust domain.
pub struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    trust_domain: TrustDomain,
    roots: String,
    // The first and the last second.
    valid: (Timestamp, Timestamp),
    clock: Clock,
}

/// Why there is no authority, or no certificate from it.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Others may have read the key, or may replace it.
    #[error("{} is open to others (mode {mode:03o}): it must be closed to them ({fix}), and if anyone may have read it, removed to get a new one", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The command that closes it.
        fix: &'static str,
    },
    /// The file is not what was written.
    #[error("{} is damaged: remove it to get a new authority", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Damage,
    },
    /// A key or certificate could not be made.
    #[error("making a certificate")]
    Make(#[source] rcgen::Error),
    /// The authority does not vouch for this id.
    #[error("{id} is no workload of the trust domain {trust_domain}")]
    NotOurs {
        /// Who asked.
        id: SpiffeId,
        /// What the authority vouches for.
        trust_domain: TrustDomain,
    },
}

/// What is wrong with an authority's file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its text.
    #[error("it must be PEM text with a certificate and a private key")]
    Pem(#[source] pem::Error),
    /// Its key.
    #[error("its key cannot be read")]
    Key(#[source] rcgen::Error),
    /// Its certificate.
    #[error("its certificate {0}")]
    Certificate(SvidError),
}

impl LocalCa {
    /// For a workload's certificate. A new one is made at each start, and when half of its time is over.
    pub const LEAF_VALIDITY: Duration = DAY.saturating_mul(90);
    /// Long, since nothing outside the machine trusts it.
    const VALIDITY: Duration = DAY.saturating_mul(3650);
    /// Longer than any certificate it signs is valid.
    const RENEW_BEFORE_END: Duration = DAY.saturating_mul(365);
    /// By how much clocks may differ.
    const SKEW: Duration = Duration::from_secs(10 * 60);

    /// Opens the authority in `dir`, or makes one there, also in place of one that ends soon. Processes that
    /// do so at the same time end with the same one. The certificates of an authority that was replaced are
    /// worth nothing any more; workloads get theirs anew at each start.
    ///
    /// # Errors
    /// [`CaError`]: what cannot be used, and what would be right.
    pub fn open(dir: &Path, clock: &Clock) -> Result<Self, CaError> {
        let store = Store::lock(dir)?;
        if let Some(text) = store.read()? {
            let damaged = |source| CaError::Damaged { path: store.path(), source };
            let ca = Self::parse(&text, clock).map_err(damaged)?;
            if ca.is_fresh() {
                return Ok(ca);
            }
        }
        let text = make(clock).map_err(CaError::Make)?;
        store.write(&text)?;
        Self::parse(&text, clock).map_err(|source| CaError::Damaged { path: store.path(), source })
    }

    /// A certificate and key for `id`, valid from now on for `validity`, but no longer than the authority.
    ///
    /// # Errors
    /// [`CaError`]: the id is not of our trust domain, or there is no randomness for a key.
    pub fn issue(&self, id: &SpiffeId, validity: Duration) -> Result<Pem, CaError> {
        if !id.is_in(&self.trust_domain) || id.path().is_empty() {
            return Err(CaError::NotOurs { id: id.clone(), trust_domain: self.trust_domain.clone() });
        }
        self.sign(id, validity).map_err(CaError::Make)
    }

    /// The certificate that others must trust, as PEM.
    pub fn roots_pem(&self) -> &str {
        &self.roots
    }

    /// What it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    fn sign(&self, id: &SpiffeId, validity: Duration) -> Result<Pem, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let now = self.clock.now();
        let until = now.after(validity).min(self.valid.1);
        let mut params = params(id.as_str(), "Flotilla workload", now, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pem { chain: certificate.pem(), key: key.serialize_pem().into() })
    }

    fn parse(text: &str, clock: &Clock) -> Result<Self, Damage> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(Damage::Pem)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(Damage::Pem)?;
        let trust_domain = TrustDomain::default();
        svid::authority(&certificate, &trust_domain).map_err(Damage::Certificate)?;
        let valid = svid::validity(&certificate).map_err(Damage::Certificate)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256);
        let issuer = Issuer::from_ca_cert_der(&certificate, key.map_err(Damage::Key)?);
        // The key is written after the certificate, which alone is for others.
        let roots = text.find("-----BEGIN PRIVATE KEY").map_or(text, |end| &text[..end]).to_owned();
        Ok(Self { issuer: issuer.map_err(Damage::Key)?, trust_domain, roots, valid, clock: clock.clone() })
    }

    fn is_fresh(&self) -> bool {
        let (from, to) = self.valid;
        let now = self.clock.now();
        from <= now && now.after(Self::RENEW_BEFORE_END) < to
    }
}

/// A new authority: its certificate and then its key.
fn make(clock: &Clock) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let now = clock.now();
    let id = format!("spiffe://{}", TrustDomain::default());
    let mut params = params(&id, "Flotilla local authority", now, now.after(LocalCa::VALIDITY))?;
    // It signs workloads and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn params(id: &str, name: &str, now: Timestamp, until: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = moment(now.before(LocalCa::SKEW));
    params.not_after = moment(until);
    Ok(params)
}

/// X.509 knows whole seconds; a moment outside its years becomes the epoch, which nobody trusts.
fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.micros().div_euclid(1_000_000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}
