//! The services as processes of their own, on PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use runtime::Env;
use tempfile::TempDir;

use crate::program::{Program, flotilla, told};
use crate::server;
use crate::together::CHEAP;

pub(crate) const SERVICES: [&str; 3] = ["user-service", "auth-service", "api-gateway"];

/// For `SIGNING_KEY_SECRET`.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The three services, each of which is told where the others are.
pub(crate) struct Processes {
    dir: Arc<TempDir>,
    /// The ports of each: HTTP, gRPC, admin.
    ports: [[u16; 3]; 3],
    databases: BTreeMap<&'static str, String>,
    /// The settings by which they find each other.
    discovery: Vec<(&'static str, String)>,
    running: BTreeMap<&'static str, Program>,
}

impl Processes {
    /// Starts all of them, each with a list of all, or nothing where there is no server and none has to be.
    pub(crate) async fn start() -> Option<Self> {
        let ports = free_ports();
        let list = SERVICES.iter().zip(ports);
        let list = list.map(|(name, [http, grpc, _])| format!("{name}=127.0.0.1:{http}:{grpc}"));
        let list = list.collect::<Vec<_>>().join(",");
        Self::start_at(ports, vec![("SERVICES_STATIC", list)]).await
    }

    /// The same with settings by which they find each other.
    pub(crate) async fn start_with(discovery: Vec<(&'static str, String)>) -> Option<Self> {
        Self::start_at(free_ports(), discovery).await
    }

    async fn start_at(ports: [[u16; 3]; 3], discovery: Vec<(&'static str, String)>) -> Option<Self> {
        let databases = [
            ("user-service", server::new_database().await?),
            ("auth-service", server::new_database().await?),
        ];
        let dir = Arc::new(tempfile::tempdir().unwrap());
        for name in SERVICES {
            let issued = told(&mut flotilla(dir.path(), &["issue", name, "--out", name])).await;
            assert_eq!(issued.0, Some(0), "{}", issued.2);
        }
        let running = BTreeMap::new();
        let mut processes = Self { dir, ports, databases: databases.into(), discovery, running };
        processes.run_all().await;
        Some(processes)
    }

    /// A second instance of each, with the same databases.
    pub(crate) async fn twins(&self) -> Self {
        let (dir, databases, discovery) =
            (Arc::clone(&self.dir), self.databases.clone(), self.discovery.clone());
        let mut twins = Self { dir, ports: free_ports(), databases, discovery, running: BTreeMap::new() };
        twins.run_all().await;
        twins
    }

    async fn run_all(&mut self) {
        for name in SERVICES {
            self.run(name).await;
        }
    }

    /// Where a service's APIs are: HTTP and gRPC.
    pub(crate) fn apis(&self, name: &str) -> [SocketAddr; 2] {
        let place = SERVICES.iter().position(|service| *service == name).unwrap();
        let [http, grpc, _] = self.ports[place];
        [http, grpc].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Where the public comes in.
    pub(crate) fn gateway(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[2][0]))
    }

    /// Where health is asked for.
    pub(crate) fn admin(&self, name: &str) -> SocketAddr {
        let place = SERVICES.iter().position(|service| *service == name).unwrap();
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[place][2]))
    }

    /// A command of an operator's.
    pub(crate) async fn operator(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let dir = self.dir.path();
        let issued = told(&mut flotilla(dir, &["issue", "operator", "--out", "operator"])).await;
        assert_eq!(issued.0, Some(0), "{}", issued.2);
        let mut command = flotilla(dir, arguments);
        command.envs(self.discovery.iter().map(|(name, value)| (name, value)));
        told(command.env("FLOTILLA_IDENTITY_DIR", "operator")).await
    }

    /// Ends a service in order.
    pub(crate) async fn end(&mut self, name: &'static str) {
        assert_eq!(self.running.remove(name).unwrap().code_after("TERM").await, Some(0));
    }

    /// Ends a service as a crash does.
    pub(crate) async fn kill(&mut self, name: &'static str) {
        self.running.remove(name).unwrap().kill().await;
    }

    /// The same, and starts it again.
    pub(crate) async fn crash(&mut self, name: &'static str) {
        self.kill(name).await;
        self.run(name).await;
    }

    /// Starts a service, and comes back when it serves.
    pub(crate) async fn run(&mut self, name: &'static str) {
        let place = SERVICES.iter().position(|service| *service == name).unwrap();
        let [http, grpc, admin] = self.ports[place].map(|port| port.to_string());
        let mut command = flotilla(self.dir.path(), &["run", name]);
        command.envs(CHEAP).envs(self.databases.get(name).map(|url| ("DATABASE_URL", url)));
        command.envs([("SIGNING_KEY_SECRET", SECRET), ("BIND_ADDRESS", "127.0.0.1")]);
        command.envs(self.discovery.iter().map(|(name, value)| (name, value)));
        command.envs([
            ("HTTP_PORT", &http),
            ("PUBLIC_PORT", &http),
            ("GRPC_PORT", &grpc),
            ("ADMIN_PORT", &admin),
        ]);
        for (setting, file) in
            [("TLS_CERT_FILE", "tls.crt"), ("TLS_KEY_FILE", "tls.key"), ("TLS_CA_FILE", "ca.crt")]
        {
            command.env(setting, format!("{name}/{file}"));
        }
        let mut program = Program::start(&mut command);
        program.stderr.with("\"serving\"").await;
        self.running.insert(name, program);
    }
}

/// Where a gateway may be that is to be found before it can tell.
pub(crate) fn free_address() -> SocketAddr {
    let [[port]] = free_ports();
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Ports that nobody has, and that nobody is given who asks for a free one.
pub(crate) fn free_ports<const N: usize, const M: usize>() -> [[u16; N]; M] {
    let random = Env::system(1).random;
    let mut taken = BTreeSet::new();
    let mut port = || loop {
        let port = 10_000 + u16::try_from(random.below(20_000)).unwrap();
        #[expect(clippy::disallowed_methods, reason = "whether a port is free is known by taking it")]
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && taken.insert(port) {
            return port;
        }
    };
    std::array::from_fn(|_| std::array::from_fn(|_| port()))
}
