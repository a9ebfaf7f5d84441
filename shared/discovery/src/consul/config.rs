use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};

/// Where Consul's agent is, and how an instance appears there.
#[derive(Clone, Debug)]
pub struct ConsulConfig {
    /// The agent's name or address.
    pub host: String,
    /// The port of its HTTP API, in plain text or with TLS.
    pub port: u16,
    /// What it knows us by, where it asks.
    pub token: Option<SecretString>,
    /// Whom its certificate must come from; plain text without.
    pub tls: Option<ConsulTls>,
    /// How the two above are read again, which is done when the agent refuses the token or its certificate is not
    /// believed; they stay as they are without.
    pub reread: Option<Reread>,
    /// The datacentre whose instances are found; the agent's own without.
    pub datacenter: Option<String>,
    /// What every instance is tagged with, and alone is found by.
    pub tag: Option<String>,
    /// How Consul knows that an instance is well.
    pub check: CheckKind,
    /// An instance that was unwell for so long is forgotten; Consul takes no less than a minute. Whoever is unwell and
    /// lives registers again.
    pub forgotten_after: Duration,
    /// The address by which others reach this process, where it listens on more than one.
    pub advertise: Option<IpAddr>,
}

impl ConsulConfig {
    /// The port of Consul's HTTP API unless it is told another.
    pub const DEFAULT_PORT: u16 = 8500;
    /// Well past every restart and deploy.
    pub const DEFAULT_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
    /// Consul's own bound.
    pub const LEAST_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

    /// An agent in plain text that asks for nothing.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            token: None,
            tls: None,
            reread: None,
            datacenter: None,
            tag: None,
            check: CheckKind::Http,
            forgotten_after: Self::DEFAULT_FORGOTTEN_AFTER,
            advertise: None,
        }
    }
}

/// Whom an agent knows us by, and whom its certificate must come from.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// As [`ConsulConfig::token`].
    pub token: Option<SecretString>,
    /// As [`ConsulConfig::tls`].
    pub tls: Option<ConsulTls>,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |one: &Self| one.token.as_ref().map(|token| token.expose_secret().to_owned());
        let authorities = |one: &Self| one.tls.as_ref().map(|ConsulTls(roots)| roots.roots.clone());
        exposed(self) == exposed(other) && authorities(self) == authorities(other)
    }
}

/// Reads credentials again from where they came from.
#[derive(Clone)]
pub struct Reread(Arc<dyn Fn() -> Option<Credentials> + Send + Sync>);

impl Reread {
    /// What `read` reads, which is short and local; nothing where that cannot be read at the moment.
    pub fn new(read: impl Fn() -> Option<Credentials> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// What is there now.
    pub fn read(&self) -> Option<Credentials> {
        (self.0)()
    }
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread").finish_non_exhaustive()
    }
}

/// How Consul knows that an instance is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Its agent asks the instance whether it is ready.
    Http,
    /// The instance's process tells whether it is ready, for an agent that cannot reach it.
    Ttl,
}

/// Whom the agent's certificate must come from.
#[derive(Clone)]
pub struct ConsulTls(pub(super) RootCertStore);

/// The text holds no certificate of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate of an authority in it")]
pub struct NoAuthorityError;

impl ConsulTls {
    /// The authorities in `pem`.
    ///
    /// # Errors
    /// [`NoAuthorityError`]: there is none, or one of them cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoAuthorityError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_damaged| NoAuthorityError)?;
            roots.add(certificate).map_err(|_no_authority| NoAuthorityError)?;
        }
        if roots.is_empty() { Err(NoAuthorityError) } else { Ok(Self(roots)) }
    }
}

impl fmt::Debug for ConsulTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsulTls({} authorities)", self.0.len())
    }
}
