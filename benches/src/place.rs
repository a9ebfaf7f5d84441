//! Where an instance of a service is and who it is.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use runtime::Env;
use secrecy::ExposeSecret as _;
use service_auth::{LocalCa, Pem, SpiffeId};
use types::ServiceName;

pub(crate) const USERS: ServiceName = ServiceName::new("user-service");
pub(crate) const AUTH: ServiceName = ServiceName::new("auth-service");
pub(crate) const GATEWAY: ServiceName = ServiceName::new("api-gateway");

pub(crate) struct Place {
    pub(crate) name: ServiceName,
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    pub(crate) admin: u16,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Place {
    /// One with a certificate of `authority` in `dir`.
    pub(crate) async fn new(env: &Env, name: ServiceName, dir: &Path, authority: &LocalCa) -> Result<Self> {
        let id = SpiffeId::service(authority.trust_domain(), &name);
        let Pem { chain, key } = authority.issue(&id, LocalCa::LEAF_VALIDITY)?;
        fs::create_dir_all(dir)?;
        let files = [
            ("tls.crt", chain.as_str()),
            ("tls.key", key.expose_secret()),
            ("ca.crt", authority.roots_pem()),
        ];
        let [cert, key, ca] = files.map(|(file, text)| (dir.join(file), text));
        for (path, text) in [&cert, &key, &ca] {
            fs::write(path, text)?;
        }
        let [http, grpc, admin] = [free_port(env).await?, free_port(env).await?, free_port(env).await?];
        Ok(Self { name, http, grpc, admin, cert: cert.0, key: key.0, ca: ca.0 })
    }

    /// What a process is told that is to be this instance.
    pub(crate) fn settings(&self) -> [(&'static str, OsString); 7] {
        let port = |port: u16| OsString::from(port.to_string());
        [
            ("TLS_CERT_FILE", self.cert.clone().into()),
            ("TLS_KEY_FILE", self.key.clone().into()),
            ("TLS_CA_FILE", self.ca.clone().into()),
            ("BIND_ADDRESS", "127.0.0.1".into()),
            ("HTTP_PORT", port(self.http)),
            ("GRPC_PORT", port(self.grpc)),
            ("ADMIN_PORT", port(self.admin)),
        ]
    }

    /// As it stands in `SERVICES_STATIC`.
    pub(crate) fn listed(&self) -> String {
        listed(&self.name, self.http, self.grpc)
    }
}

/// An instance of `service` as it stands in `SERVICES_STATIC`.
pub(crate) fn listed(service: &ServiceName, http: u16, grpc: u16) -> String {
    format!("{service}=127.0.0.1:{http}:{grpc}")
}

/// Beneath those that whoever dials is given: a port must still be free when its service comes back to it.
const LOWEST: u16 = 10_000;
const PORTS: u16 = 20_000;
const MOST_TAKEN: usize = 100;

/// One that was free just now: each must know where the others will be before they are there.
pub(crate) async fn free_port(env: &Env) -> Result<u16> {
    for _ in 0..MOST_TAKEN {
        let port = LOWEST + u16::try_from(env.random.below(u64::from(PORTS)))?;
        if env.net.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {LOWEST} on seems to be free")
}
