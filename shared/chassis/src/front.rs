//! What the public reaches: the one listener that asks for no certificate, which only the gateway has.

use std::error::Error;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use service_auth::{IdentityError, PublicTls};
use telemetry::Metrics;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::serve::Transport;
use crate::{Access, Background, Configure, Platform, RawHandler, Renewal, Settings};

/// The service whose edge API is the public's.
pub(crate) const GATEWAY: ServiceName = ServiceName::new("api-gateway");

/// The public listener of a gateway, and what answers on it.
#[derive(Debug)]
pub struct Front {
    /// Where it is.
    pub config: FrontConfig,
    /// What answers.
    pub handler: RawHandler,
    /// The bytes of the largest body that the handler lets through.
    pub largest_body: usize,
    /// Whether each connection is a client's own, so that one address has but a share of them. Else all clients share
    /// the few addresses of what stands before the gateway, or that of its machine.
    pub serves_clients: bool,
    /// The paths that it passes on, each with all below it, and whose requests: for operators to read.
    pub passes_on: Vec<(Arc<str>, Access)>,
}

/// Where the public connects, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontConfig {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// Who ends its TLS.
    pub tls: FrontTls,
}

/// Who ends the public's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontTls {
    /// There is none: only this machine connects.
    None,
    /// Something before the gateway, which alone connects.
    Terminated,
    /// The gateway, with this certificate.
    Files {
        /// The certificate and its chain, as PEM.
        cert: PathBuf,
        /// Its key, as PEM.
        key: PathBuf,
    },
}

impl FrontConfig {
    const PORT: u16 = 8080;
    const CERT: &str = "a PEM file with the certificate for the public and its chain";
    const KEY: &str = "a PEM file with the key of PUBLIC_TLS_CERT_FILE";

    /// The settings of a public listener that is on `default` where they say nothing else.
    pub fn or(default: SocketAddr, settings: &mut Settings) -> Self {
        let right = "an IP address for the public; beyond loopback it wants TLS";
        let ip = settings.parsed("PUBLIC_BIND_ADDRESS", right, default.ip());
        let addr = SocketAddr::new(ip, settings.port("PUBLIC_PORT", default.port()));
        let terminated = settings.one_of("PUBLIC_TLS", [("here", false), ("terminated", true)]);
        let mut file = |name, right: &str| {
            let path = settings.optional_text(name, right).map(PathBuf::from)?;
            if let Err(error) = File::open(&path) {
                settings.reject(name, format!("{right} that can be read ({})", error.kind()));
            }
            Some(path)
        };
        let cert = file("PUBLIC_TLS_CERT_FILE", Self::CERT);
        let key = file("PUBLIC_TLS_KEY_FILE", Self::KEY);
        let tls = match (terminated, cert, key) {
            (false, Some(cert), Some(key)) => FrontTls::Files { cert, key },
            (false, None, None) if ip.is_loopback() => FrontTls::None,
            (true, None, None) => FrontTls::Terminated,
            (terminated, cert, key) => {
                Self::refuse(settings, terminated, cert.is_some(), key.is_some());
                FrontTls::None
            }
        };
        Self { addr, tls }
    }

    fn refuse(settings: &mut Settings, terminated: bool, has_cert: bool, has_key: bool) {
        if terminated {
            let name = if has_cert { "PUBLIC_TLS_CERT_FILE" } else { "PUBLIC_TLS_KEY_FILE" };
            return settings.reject(name, "left out: PUBLIC_TLS says that TLS ends elsewhere");
        }
        if !has_cert {
            let beyond = "because PUBLIC_BIND_ADDRESS is not loopback, unless PUBLIC_TLS is terminated";
            let why = if has_key { "because PUBLIC_TLS_KEY_FILE is given" } else { beyond };
            settings.reject("PUBLIC_TLS_CERT_FILE", format!("{}, {why}", Self::CERT));
        }
        if !has_key {
            settings.reject("PUBLIC_TLS_KEY_FILE", Self::KEY);
        }
    }

    /// The scheme of the addresses that the public knows.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            FrontTls::None => "http",
            FrontTls::Terminated | FrontTls::Files { .. } => "https",
        }
    }

    pub(crate) fn transport(
        &self,
        platform: &Platform,
    ) -> Result<(Transport, Option<Background>), IdentityError> {
        let FrontTls::Files { cert, key } = &self.tls else { return Ok((Transport::Plain, None)) };
        let tls = PublicTls::load(cert, key, &platform.env.clock)?;
        tell_end(&tls, &platform.metrics);
        let (renewed, cert, key) = (tls.clone(), cert.clone(), key.clone());
        let renewal = move |stop| keep_renewing(renewed, cert, key, stop);
        Ok((Transport::Tls(tls), Some(Background::new("public certificate renewal", renewal))))
    }
}

impl Configure for FrontConfig {
    /// On loopback: who opens it to others decides about TLS at the same time.
    fn configure(settings: &mut Settings) -> Self {
        Self::or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Self::PORT), settings)
    }
}

fn tell_end(tls: &PublicTls, metrics: &Metrics) {
    let (name, ends) = ("flotilla_public_certificate_expiry_timestamp_seconds", tls.clone());
    metrics
        .gauge(name, "When the certificate for the public ends", move || ends.expires_at().millis() / 1_000);
}

async fn keep_renewing(tls: PublicTls, cert: PathBuf, key: PathBuf, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(Renewal::EVERY)).await.is_some() {
        let before = tls.expires_at();
        match tls.reload(&cert, &key) {
            Ok(()) if tls.expires_at() == before => {}
            Ok(()) => tracing::info!(until = %tls.expires_at(), "a new certificate for the public is in use"),
            // What is in use stays in use: until it ends there is time to mend what is wrong.
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, %before, "no new certificate for the public");
            }
        }
    }
}
