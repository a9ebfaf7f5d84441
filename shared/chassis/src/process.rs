use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;

use service_auth::{DEFAULT_TRUST_DOMAIN, Issuer, TrustDomain};
use service_client::Callees;
use telemetry::{LogFormat, Logs, LogsError};

use crate::{Configure, DiscoveryConfig, Listeners, Settings, discovery_config, outbound_config};

/// What a service that is a process of its own is told, besides what it is about.
#[derive(Debug)]
pub struct ProcessConfig {
    /// What it logs, and how.
    pub log: LogConfig,
    /// Who it is.
    pub identity: IdentityFiles,
    /// Whose access tokens it takes.
    pub issuer: Issuer,
    /// Where the others are.
    pub discovery: DiscoveryConfig,
    /// On which terms it calls them.
    pub callees: Callees,
    /// Where it listens.
    pub listeners: Listeners,
    /// Heavy computations, such as password hashes, that run at once.
    pub compute_threads: usize,
}

/// What a process logs, and how.
#[derive(Debug)]
pub struct LogConfig {
    format: LogFormat,
    filter: String,
}

impl LogConfig {
    const FILTER: &str = "a log filter such as info or info,user_service=debug";

    /// `LOG_FORMAT`, else `format`, and `LOG_LEVEL`.
    pub fn configure_or(format: LogFormat, settings: &mut Settings) -> Self {
        let (human, json) = (("human", LogFormat::Human), ("json", LogFormat::Json));
        let formats = if format == LogFormat::Human { [human, json] } else { [json, human] };
        Self {
            format: settings.one_of("LOG_FORMAT", formats),
            filter: settings.parsed("LOG_LEVEL", Self::FILTER, Logs::DEFAULT_FILTER.to_owned()),
        }
    }

    /// Starts the log, which is to be kept until the end. A filter that is none is noted in `settings`.
    ///
    /// # Errors
    /// The process logs already.
    pub fn start(&self, settings: &mut Settings) -> Result<Option<Logs>, LogsError> {
        match Logs::init(self.format, &self.filter) {
            Err(LogsError::Word(_) | LogsError::Filter { .. }) => {
                settings.reject("LOG_LEVEL", Self::FILTER);
                Ok(None)
            }
            started => started.map(Some),
        }
    }
}

/// Lets the process open as many files as its supervisor allows. Most systems start programs with 1,024, for the sake
/// of those that cannot count further, which is less than a service's connections.
///
/// # Errors
/// Those of the operating system.
pub fn raise_file_limit() -> io::Result<()> {
    rlimit::increase_nofile_limit(rlimit::INFINITY).map(drop)
}

/// How many heavy computations may run at once: `COMPUTE_THREADS`, else as many as there are processors.
pub fn compute_threads(settings: &mut Settings) -> usize {
    /// More than any machine has.
    const MOST_THREADS: usize = 1024;
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    settings.number("COMPUTE_THREADS", processors, 1..=MOST_THREADS)
}

/// Whose access tokens are taken, and issued: `TOKEN_ISSUER` and `TOKEN_AUDIENCE`, the same in every service.
pub fn issuer(settings: &mut Settings) -> Issuer {
    let default = Issuer::default();
    let url = "the URL that access tokens name as their issuer";
    let issuer = settings.parsed("TOKEN_ISSUER", url, default.issuer);
    let audience =
        settings.parsed("TOKEN_AUDIENCE", "the platform's name in access tokens", default.audience);
    Issuer { issuer, audience }
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
        let config = Self {
            log: LogConfig::configure_or(LogFormat::Json, settings),
            identity: IdentityFiles::configure(settings),
            issuer: issuer(settings),
            discovery: discovery_config(settings),
            callees: outbound_config(settings),
            listeners: Listeners::configure(settings),
            compute_threads: compute_threads(settings),
        };
        config.discovery.require_address(config.listeners.grpc, settings);
        config
    }
}

impl Configure for IdentityFiles {
    fn configure(settings: &mut Settings) -> Self {
        let mut file = |name, right: &str| {
            let path = PathBuf::from(settings.required_text(name, right));
            if !path.as_os_str().is_empty()
                && let Err(error) = File::open(&path)
            {
                settings.reject(name, format!("{right} that can be read ({})", error.kind()));
            }
            path
        };
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
