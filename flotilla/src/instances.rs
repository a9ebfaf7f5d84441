//! Where the services are that an operator asks.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use chassis::Addrs;
use discovery::{Discover, Endpoint, Endpoints, Standing, Static, StaticError};
use futures_util::future::join_all;
use runtime::Deadline;
use tokio::sync::watch;
use types::ServiceName;

use crate::durable::{self, FOR_ITS_OWNER};
use crate::run::SERVICES;

/// An instance as the command line names it, by its gRPC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    service: ServiceName,
    address: String,
}

/// The text names no instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be SERVICE=HOST:PORT, such as user-service=127.0.0.1:50051")]
pub(crate) struct TargetError;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (service, address) = text.split_once('=').ok_or(TargetError)?;
        let (host, port) = address.rsplit_once(':').ok_or(TargetError)?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        match service.parse() {
            Ok(service) if is_port && !host.is_empty() => Ok(Self { service, address: address.to_owned() }),
            _ => Err(TargetError),
        }
    }
}

/// An instance that may be asked.
pub(crate) struct Instance {
    pub(crate) service: ServiceName,
    /// Its gRPC address as it was given.
    pub(crate) address: String,
    /// Where that may be: a host may have several addresses.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The instances that are known.
pub(crate) struct Known {
    pub(crate) instances: Vec<Instance>,
    /// Whether they all live in one process and share its log.
    pub(crate) share_a_process: bool,
}

/// Why no instances are known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnknownError {
    #[error(
        "nobody is known to ask: no `flotilla up` runs in {}, and neither --endpoint nor SERVICES_STATIC, SERVICES_DNS or CONSUL_HOST leads to any instance",
        .0.display()
    )]
    Nobody(PathBuf),
    #[error("discovery gives no answer: {0}")]
    NoAnswer(String),
    #[error("discovery knows no instance of any service")]
    NoInstance,
    #[error("no instance of {0} is known")]
    NoneOf(ServiceName),
    #[error("looking up {address}")]
    LookUp {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: StaticError,
    },
}

impl Known {
    /// What the command line names.
    pub(crate) fn of_targets(targets: &[Target]) -> Result<Self, UnknownError> {
        let instances = targets.iter().map(Instance::look_up).collect::<Result<_, _>>()?;
        Ok(Self { instances, share_a_process: false })
    }

    /// What the settings list.
    pub(crate) fn of_list(list: &Static) -> Self {
        let of_service = |service: &ServiceName| {
            let endpoints = list.watch(service).borrow().clone();
            endpoints.iter().map(|&endpoint| Instance::at(service, endpoint)).collect::<Vec<_>>()
        };
        Self { instances: list.services().flat_map(of_service).collect(), share_a_process: false }
    }

    /// What a discovery has learnt of the services by the time a person would lose patience. A service without an
    /// instance takes all of that time: that nobody is there is nothing that could be waited for.
    pub(crate) async fn of_discovery(discovery: &dyn Discover) -> Result<Self, UnknownError> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let deadline = Deadline::within(PATIENCE);
        let mut told = SERVICES.map(ServiceName::new).map(|service| (discovery.watch(&service), service));
        join_all(told.iter_mut().map(async |(told, _)| {
            drop(deadline.bound(told.wait_for(|endpoints| !endpoints.is_empty())).await);
        }))
        .await;
        let at = |(told, service): &(watch::Receiver<Endpoints>, ServiceName)| {
            let endpoints = told.borrow().clone();
            endpoints.iter().map(|&endpoint| Instance::at(service, endpoint)).collect::<Vec<_>>()
        };
        let (instances, standing): (Vec<_>, _) = (told.iter().flat_map(at).collect(), discovery.standing());
        discovery.close();
        match standing {
            _ if !instances.is_empty() => Ok(Self { instances, share_a_process: false }),
            Some(Standing::Unknown { why }) => Err(UnknownError::NoAnswer(why)),
            _ => Err(UnknownError::NoInstance),
        }
    }

    /// The platform that runs in this data directory.
    pub(crate) fn of_platform(data_dir: &Path) -> Result<Self, UnknownError> {
        let path = Announcement::file(data_dir);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let list = Static::parse(&text).map_err(|source| UnknownError::Damaged { path, source })?;
                Ok(Self { share_a_process: true, ..Self::of_list(&list) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(UnknownError::Nobody(data_dir.to_owned()))
            }
            Err(source) => Err(UnknownError::Read { path, source }),
        }
    }

    /// The instances of these services, or all where none is named.
    pub(crate) fn of_services(&self, services: &[ServiceName]) -> Result<Vec<&Instance>, UnknownError> {
        let known = |service: &ServiceName| self.instances.iter().any(|it| it.service == *service);
        if let Some(unknown) = services.iter().find(|service| !known(service)) {
            return Err(UnknownError::NoneOf(unknown.clone()));
        }
        let wanted = |it: &&Instance| services.is_empty() || services.contains(&it.service);
        Ok(self.instances.iter().filter(wanted).collect())
    }
}

impl Instance {
    fn at(service: &ServiceName, endpoint: Endpoint) -> Self {
        Self { service: service.clone(), address: endpoint.grpc.to_string(), endpoints: vec![endpoint] }
    }

    fn look_up(Target { service, address }: &Target) -> Result<Self, UnknownError> {
        let found = address.to_socket_addrs();
        let found = found.map_err(|source| UnknownError::LookUp { address: address.clone(), source })?;
        // Operators ask over gRPC alone.
        let endpoints = found.map(|addr| Endpoint { http: addr, grpc: addr }).collect();
        Ok(Self { service: service.clone(), address: address.clone(), endpoints })
    }
}

/// The file in its data directory by which a platform tells the command line where it is, in the notation of
/// `SERVICES_STATIC`. It goes with the platform, unless that is killed.
pub(crate) struct Announcement(PathBuf);

impl Announcement {
    pub(crate) fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("instances")
    }

    /// Takes away what a platform that was killed has left.
    pub(crate) fn clear(data_dir: &Path) {
        drop(Self(Self::file(data_dir)));
    }

    /// Announces services by where they are.
    pub(crate) fn make(data_dir: &Path, services: &[(ServiceName, Addrs)]) -> io::Result<Self> {
        let file = Self::file(data_dir);
        let lines = services
            .iter()
            .map(|(service, Addrs { http, grpc, .. })| format!("{service}={}", notation(*http, *grpc)));
        let text = lines.collect::<Vec<_>>().join(",\n");
        durable::replace(&file, &format!("{text}\n"), FOR_ITS_OWNER)?;
        Ok(Self(file))
    }
}

fn notation(http: SocketAddr, grpc: SocketAddr) -> String {
    format!("{}:{}", SocketAddr::new(grpc.ip(), http.port()), grpc.port())
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Where it stays, it names addresses where nobody answers.
        drop(fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_a_service_and_a_port_of_a_host() {
        let target: Target = "user-service=localhost:50051".parse().unwrap();
        let service = ServiceName::new("user-service");
        assert_eq!(target, Target { service, address: "localhost:50051".to_owned() });
        assert!("user-service=[::1]:50051".parse::<Target>().is_ok());
        for text in
            ["localhost:50051", "user-service=localhost", "user-service=:1", "a=b:0", "A=b:1", "a=b:c"]
        {
            assert_eq!(text.parse::<Target>(), Err(TargetError), "{text}");
        }
    }

    #[test]
    fn a_platform_is_known_from_its_announcement_until_that_is_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let services =
            [("api-gateway", ["0.0.0.0:8080", "127.0.0.1:1"]), ("user-service", ["[::1]:2", "[::1]:3"])];
        let services = services.map(|(name, [http, grpc])| {
            let addrs = Addrs { http: addr(http), grpc: addr(grpc), admin: addr("127.0.0.1:9") };
            (ServiceName::new(name), addrs)
        });
        let announcement = Announcement::make(dir.path(), &services).unwrap();
        let known = Known::of_platform(dir.path()).unwrap();
        let told: Vec<_> =
            known.instances.iter().map(|it| format!("{} {}", it.service, it.address)).collect();
        assert_eq!(told, ["api-gateway 127.0.0.1:1", "user-service [::1]:3"]);
        drop(announcement);
        let gone = Known::of_platform(dir.path()).err().unwrap();
        assert!(matches!(gone, UnknownError::Nobody(_)), "{gone}");
    }
}
