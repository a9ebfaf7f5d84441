use std::num::NonZero;
use std::path::PathBuf;

use service_auth::{DEFAULT_TRUST_DOMAIN, TrustDomain};
use telemetry::{LogFormat, Logs};

use crate::{Configure, Listeners, Settings};

/// What a service that is a process of its own is told, besides what it is about.
#[derive(Debug)]
pub struct ProcessConfig {
    /// How its log looks.
    pub log_format: LogFormat,
    /// What it logs.
    pub log_level: String,
    /// Who it is.
    pub identity: IdentityFiles,
    /// Where it listens.
    pub listeners: Listeners,
    /// Heavy computations, such as password hashes, that run at once.
    pub compute_threads: usize,
}

/// Where a service's identity is mounted, by cert-manager, SPIRE, Vault or `flotilla`.
#[derive(Debug)]
pub struct IdentityFiles {
    /// Its certificate and what leads to an authority, as PEM.
    pub cert: PathBuf,
    /// The certificate's key, as PEM.
    pub key: PathBuf,
    /// The authorities it believes, as PEM.
    pub ca: PathBuf,
    /// The workloads that those may vouch for.
    pub trust_domain: TrustDomain,
}

impl Configure for ProcessConfig {
    fn configure(settings: &mut Settings) -> Self {
        /// More than any machine has.
        const MOST_THREADS: usize = 1024;
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        Self {
            log_format: settings
                .one_of("LOG_FORMAT", [("json", LogFormat::Json), ("human", LogFormat::Human)]),
            log_level: settings.text("LOG_LEVEL", Logs::DEFAULT_FILTER),
            identity: IdentityFiles::configure(settings),
            listeners: Listeners::configure(settings),
            compute_threads: settings.number("COMPUTE_THREADS", processors, 1..=MOST_THREADS),
        }
    }
}

impl Configure for IdentityFiles {
    fn configure(settings: &mut Settings) -> Self {
        let mut file = |name, right| PathBuf::from(settings.required_text(name, right));
        Self {
            cert: file("TLS_CERT_FILE", "a PEM file with the service's certificate and its chain"),
            key: file("TLS_KEY_FILE", "a PEM file with the certificate's key"),
            ca: file("TLS_CA_FILE", "a PEM file with the authorities that vouch for other services"),
            trust_domain: settings.parsed(
                "TRUST_DOMAIN",
                &format!("the trust domain of the certificates, such as {DEFAULT_TRUST_DOMAIN}"),
                TrustDomain::default(),
            ),
        }
    }
}
