use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use types::ServiceName;

use crate::Endpoint;
use crate::address::{NoMachine, of_one_machine, ports};
use crate::watches::Wrong;

/// Which name stands for which service, and where behind its addresses the instances listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsNames {
    named: BTreeMap<ServiceName, Name>,
    /// With [`DnsNames::PLACE`] in it, for the services that have no name of their own.
    template: Option<Name>,
}

/// A name, and where behind its addresses an instance listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) host: String,
    pub(super) http: u16,
    pub(super) grpc: u16,
}

/// Parts of the list that are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsNamesError(
    /// All of them, in the order of the list.
    pub Vec<WrongName>,
);

/// A part of the list that is wrong, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be {right}", right = WrongName::RIGHT)]
pub struct WrongName(
    /// The part.
    pub String,
);

impl WrongName {
    /// What an entry must be.
    pub const RIGHT: &str = "SERVICE=NAME or SERVICE=NAME:HTTP_PORT:GRPC_PORT, once for a service, or a NAME with \
                             {service} in it for the others";
}

impl DnsNames {
    const PLACE: &str = "{service}";
    /// RFC 1035, section 2.3.4, without the lengths and the root's.
    const LONGEST: usize = 253;
    const LONGEST_LABEL: usize = 63;

    /// Names as text: `SERVICE=NAME:HTTP_PORT:GRPC_PORT` for each service, and at most one `NAME:HTTP_PORT:GRPC_PORT`
    /// with `{service}` in it, with commas between them. Without ports they are those that services listen on by
    /// default. A name is whole, whether or not it ends with a dot.
    ///
    /// # Errors
    /// [`DnsNamesError`], which names every part that is wrong.
    pub fn parse(text: &str) -> Result<Self, DnsNamesError> {
        let (mut names, mut wrong) = (Self::default(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if names.add(part).is_none() {
                wrong.push(WrongName(part.to_owned()));
            }
        }
        if wrong.is_empty() { Ok(names) } else { Err(DnsNamesError(wrong)) }
    }

    fn add(&mut self, part: &str) -> Option<()> {
        let Some((service, name)) = part.split_once('=') else {
            let template = Name::parse(part)?;
            let is_first = template.host.contains(Self::PLACE) && self.template.is_none();
            return is_first.then(|| self.template = Some(template));
        };
        let (service, name) = (service.trim_end().parse().ok()?, Name::parse(name.trim_start())?);
        let is_first = !name.host.contains(Self::PLACE) && !self.named.contains_key(&service);
        is_first.then(|| self.named.insert(service, name)).map(drop)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.template.is_none()
    }

    /// The name of a service, unless it has none, or would have one that is too long.
    pub(super) fn of(&self, service: &ServiceName) -> Option<Name> {
        self.named.get(service).cloned().or_else(|| {
            let Name { host, http, grpc } = self.template.clone()?;
            let host = host.replace(Self::PLACE, service.as_str());
            is_host(&host).then_some(Name { host, http, grpc })
        })
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        let (http, grpc) = ports(rest)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name = is_host(&host.replace(DnsNames::PLACE, "a"));
        let is_address = host.parse::<IpAddr>().is_ok();
        (is_name && !is_address).then(|| Self { host: host.to_owned(), http, grpc })
    }

    /// The instance at one of its addresses.
    pub(super) fn endpoint(&self, ip: IpAddr) -> Result<Endpoint, Wrong> {
        let wrong = |error: NoMachine| Wrong { id: ip.to_string(), why: error.to_string() };
        let at = of_one_machine(ip).map_err(wrong)?;
        Ok(Endpoint { http: SocketAddr::new(at, self.http), grpc: SocketAddr::new(at, self.grpc) })
    }
}

fn is_host(text: &str) -> bool {
    text.len() <= DnsNames::LONGEST && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let fits = (1..=DnsNames::LONGEST_LABEL).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl std::error::Error for DnsNamesError {}

impl fmt::Display for DnsNamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.0.iter().map(|WrongName(text)| format!("{text:?}"));
        write!(f, "must be {} in each part, not {}", WrongName::RIGHT, texts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &DnsNames, service: &'static str) -> Option<String> {
        names.of(&ServiceName::new(service)).map(|Name { host, http, grpc }| format!("{host} {http} {grpc}"))
    }

    #[test]
    fn a_service_has_its_own_name_or_else_that_of_the_template() {
        let text = " user-service = users.internal.:1:2, {service}.flotilla.svc.cluster.local,";
        let names = DnsNames::parse(text).unwrap();
        assert_eq!(told(&names, "user-service").as_deref(), Some("users.internal 1 2"));
        let auth = "auth-service.flotilla.svc.cluster.local 3000 50051";
        assert_eq!(told(&names, "auth-service").as_deref(), Some(auth));
        let listed = DnsNames::parse("user-service=users.internal").unwrap();
        assert_eq!(told(&listed, "auth-service"), None);
        assert!(DnsNames::parse(" , ").unwrap().is_empty());
        let long = DnsNames::parse(&format!("{{service}}{}", "-".repeat(60))).unwrap();
        assert_eq!(told(&long, "user-service"), None);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let long = format!("a={}", "a".repeat(64));
        let wrong = [
            "users.internal",
            "User=users.internal",
            "a=",
            "a=users..internal",
            "a=10.0.0.1",
            "a=users.internal:3000",
            "a=users.internal:0:1",
            "a={service}.internal",
            "a=us ers",
            &long,
            "b=other.internal",
            "{service}.other",
        ];
        let text = format!("b=users.internal,{{service}}.internal,{}", wrong.join(", "));
        let expected = wrong.map(|part| WrongName(part.to_owned())).to_vec();
        assert_eq!(DnsNames::parse(&text).unwrap_err(), DnsNamesError(expected));
    }
}
