//! `flotilla run user-service`, with everything it needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use chassis::Addrs;
use runtime::Clock;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service_auth::{LocalCa, Pem, SpiffeId};
use tokio::process::Command;
use types::ServiceName;

use crate::program::{Program, flotilla};
use crate::together::{CHEAP, Running};

/// The service in `dir` on the database at `url`, on free ports, with an identity that is issued in `dir`.
pub(crate) fn user_service(dir: &Path, url: &str) -> Command {
    let ca = LocalCa::open(&dir.join("authority"), &Clock::system()).unwrap();
    let service = ServiceName::new("user-service");
    mount(&dir.join("service"), &ca, &SpiffeId::service(ca.trust_domain(), &service));
    mount(&dir.join("operator"), &ca, &SpiffeId::operator(ca.trust_domain()));
    let mut command = flotilla(dir, &["run", "user-service"]);
    command.envs(CHEAP).env("DATABASE_URL", url).env("BIND_ADDRESS", "127.0.0.1").env("DRAIN_DELAY", "0ms");
    command.envs(["HTTP_PORT", "GRPC_PORT", "ADMIN_PORT"].map(|name| (name, "0")));
    command.env("TLS_CERT_FILE", "service/cert.pem").env("TLS_KEY_FILE", "service/key.pem");
    command.env("TLS_CA_FILE", "service/ca.pem").env("SERVICES_STATIC", "auth-service=127.0.0.1:1:1");
    command
}

fn mount(dir: &Path, ca: &LocalCa, id: &SpiffeId) {
    let Pem { chain, key } = ca.issue(id, LocalCa::LEAF_VALIDITY).unwrap();
    std::fs::create_dir_all(dir).unwrap();
    for (file, text) in
        [("cert.pem", chain.as_str()), ("key.pem", key.expose_secret()), ("ca.pem", ca.roots_pem())]
    {
        std::fs::write(dir.join(file), text).unwrap();
    }
}

impl Running {
    /// Starts the service in `dir` and waits until it serves.
    pub(crate) async fn alone(dir: &Path, url: &str) -> Self {
        let mut program = Program::start(&mut user_service(dir, url));
        let log = program.stderr.with("\"serving\"").await;
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let serving = lines.into_iter().find(|line| line["message"] == "serving").unwrap();
        let addr = |listener: &str| serving[listener].as_str().unwrap().parse::<SocketAddr>().unwrap();
        let addrs = Addrs { http: addr("http"), grpc: addr("grpc"), admin: addr("admin") };
        let services = BTreeMap::from([("user-service".to_owned(), addrs)]);
        Self::new(program, services, String::new(), dir.join("operator")).await
    }
}
