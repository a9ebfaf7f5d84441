use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tokio::sync::watch;
use types::ServiceName;

use crate::address::ports as ports_of;
use crate::{Discover, Endpoint, Endpoints, Registration};

/// A list that was given at the start and stays.
pub struct Static {
    services: BTreeMap<ServiceName, watch::Sender<Endpoints>>,
    nobody: watch::Sender<Endpoints>,
}

/// Parts of the list that are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticError(
    /// All of them, in the order of the list.
    pub Vec<WrongEntry>,
);

/// A part of the list that is wrong, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be {right}", right = WrongEntry::RIGHT)]
pub struct WrongEntry(
    /// The part.
    pub String,
);

impl WrongEntry {
    /// What an entry must be.
    pub const RIGHT: &str =
        "SERVICE=IP or SERVICE=IP:HTTP_PORT:GRPC_PORT, such as user-service=10.0.0.1:3000:50051";
}

impl Static {
    /// A list of instances.
    pub fn new(instances: impl IntoIterator<Item = (ServiceName, Endpoint)>) -> Self {
        let mut services: BTreeMap<_, BTreeSet<Endpoint>> = BTreeMap::new();
        for (service, endpoint) in instances {
            services.entry(service).or_default().insert(endpoint);
        }
        let told = |endpoints: BTreeSet<_>| watch::Sender::new(endpoints.into_iter().collect());
        let services = services.into_iter().map(|(service, endpoints)| (service, told(endpoints)));
        Self { services: services.collect(), nobody: watch::Sender::new(Endpoints::default()) }
    }

    /// A list as text: `SERVICE=IP:HTTP_PORT:GRPC_PORT` for each instance, with commas between them. An IPv6
    /// address stands in brackets. Without ports they are those that services listen on by default.
    ///
    /// # Errors
    /// [`StaticError`], which names every part that is wrong.
    pub fn parse(text: &str) -> Result<Self, StaticError> {
        let (mut instances, mut wrong) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match entry(part) {
                Some(instance) => instances.push(instance),
                None => wrong.push(WrongEntry(part.to_owned())),
            }
        }
        if wrong.is_empty() { Ok(Self::new(instances)) } else { Err(StaticError(wrong)) }
    }

    /// The services that have an instance in the list.
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }
}

fn entry(text: &str) -> Option<(ServiceName, Endpoint)> {
    let (service, address) = text.split_once('=')?;
    Some((service.trim_end().parse().ok()?, endpoint(address.trim_start())?))
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let (ip, ports): (IpAddr, _) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, ports) = rest.split_once(']')?;
            (ip.parse::<Ipv6Addr>().ok()?.into(), ports)
        }
        None => {
            let (ip, ports) = text.split_at(text.find(':').unwrap_or(text.len()));
            (ip.parse().ok()?, ports)
        }
    };
    let (http, grpc) = ports_of(ports)?;
    Some(Endpoint { http: SocketAddr::new(ip, http), grpc: SocketAddr::new(ip, grpc) })
}

impl Discover for Static {
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints> {
        self.services.get(service).unwrap_or(&self.nobody).subscribe()
    }

    /// The list says already where everybody is.
    fn register_checked(&self, _: &ServiceName, _: Endpoint, _: Option<SocketAddr>) -> Registration {
        Registration::kept_elsewhere()
    }
}

impl fmt::Debug for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.services.iter().map(|(name, told)| (name, told.borrow().clone()))).finish()
    }
}

impl std::error::Error for StaticError {}

impl fmt::Display for StaticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.0.iter().map(|WrongEntry(text)| format!("{text:?}"));
        write!(f, "must be {} in each part, not {}", WrongEntry::RIGHT, texts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(services: &Static, name: &'static str) -> Vec<String> {
        let endpoints = services.watch(&ServiceName::new(name)).borrow().clone();
        endpoints.iter().map(|Endpoint { http, grpc }| format!("{http} {grpc}")).collect()
    }

    #[test]
    fn an_instance_has_the_default_ports_unless_it_is_given_others() {
        let text = " auth-service=10.0.0.1:3001:50052, auth-service = 10.0.0.2 ,,user-service=[::1]:1:2,\
                    user-service=[fe80::1],auth-service=10.0.0.2:3000:50051,";
        let services = Static::parse(text).unwrap();
        let auth = ["10.0.0.1:3001 10.0.0.1:50052", "10.0.0.2:3000 10.0.0.2:50051"];
        assert_eq!(told(&services, "auth-service"), auth);
        let users = ["[::1]:1 [::1]:2", "[fe80::1]:3000 [fe80::1]:50051"];
        assert_eq!(told(&services, "user-service"), users);
        assert_eq!(told(&Static::parse("").unwrap(), "user-service"), [""; 0]);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = [
            "10.0.0.1",
            "Auth=10.0.0.1",
            "=10.0.0.1",
            "a=",
            "a=localhost",
            "a=10.0.0.1:3000",
            "a=10.0.0.1:3000:",
            "a=10.0.0.1:0:50051",
            "a=10.0.0.1:3000:65536",
            "a=10.0.0.1:+1:2",
            "a=10.0.0.1:1:2:3",
            "a=::1",
            "a=[10.0.0.1]",
            "a=[::1",
            "a=[::1]1:2",
            "a=b=10.0.0.1",
        ];
        let text = format!("user-service=10.0.0.1,{}", wrong.join(", "));
        let expected = wrong.map(|part| WrongEntry(part.to_owned())).to_vec();
        assert_eq!(Static::parse(&text).unwrap_err(), StaticError(expected));
    }
}
