//! Where the other services are.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use discovery::{
    CheckKind, Consul, ConsulConfig, ConsulTls, Credentials, Discover, Dns, DnsConfig, DnsNames,
    NoAuthorityError, Reread, SetupError, Static, WrongEntry, WrongName,
};
use runtime::Env;
use secrecy::SecretString;

use super::secrets::{file_of, read_file};
use super::{Given, SettingError, Settings};

const STATIC: &str = "SERVICES_STATIC";
const STATIC_RIGHT: &str = "the instances of the other services with commas between them, each SERVICE=IP or \
                            SERVICE=IP:HTTP_PORT:GRPC_PORT";
const DNS: &str = "SERVICES_DNS";
const DNS_RIGHT: &str = "the names whose addresses are the instances, with commas between them, each SERVICE=NAME or \
                         SERVICE=NAME:HTTP_PORT:GRPC_PORT, or a NAME with {service} in it";
const CONSUL: &str = "CONSUL_HOST";
const CONSUL_RIGHT: &str = "the name or address of Consul's agent";
const TOKEN: &str = "CONSUL_TOKEN";
const CA_RIGHT: &str = "a PEM file with the authority that Consul's certificate comes from";

/// Whoever is still there after a day is no instance that may come back.
const FORGOTTEN_AT_LAST: Duration = Duration::from_secs(86_400);

/// Where a resolver's servers are listed on every Unix.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
/// As many as the system's own resolver would ask.
const DNS_SERVERS: usize = 3;

/// How a process finds the other services.
#[derive(Debug)]
pub enum DiscoveryConfig {
    /// By a list.
    Static(Static),
    /// By the addresses of names.
    Dns(DnsConfig),
    /// By an agent of Consul, which it registers with.
    Consul(Box<ConsulConfig>),
}

/// The discovery of a process of its own: exactly one of `SERVICES_STATIC`, `SERVICES_DNS` and `CONSUL_HOST`. It must be
/// given, since every service calls another, if only for the keys of access tokens: one that finds nobody would start
/// and be of no use.
pub fn discovery_config(settings: &mut Settings) -> DiscoveryConfig {
    optional_discovery(settings).unwrap_or_else(|| {
        if [STATIC, DNS, CONSUL].iter().all(|name| !settings.is_given(name)) {
            settings.missing::<()>(STATIC, &format!("{STATIC_RIGHT}, or else {DNS} or {CONSUL}"));
        }
        DiscoveryConfig::Static(Static::new([]))
    })
}

/// The same for a program that knows another way to the services where none of them is given.
pub fn optional_discovery(settings: &mut Settings) -> Option<DiscoveryConfig> {
    let list = settings.optional_text(STATIC, STATIC_RIGHT).map(|text| read_list(&text, settings));
    let names = dns_config(settings);
    let consul = consul_config(settings);
    refuse_company(settings);
    let list = list.map(DiscoveryConfig::Static);
    list.or(names.map(DiscoveryConfig::Dns))
        .or(consul.map(|config| DiscoveryConfig::Consul(Box::new(config))))
}

impl DiscoveryConfig {
    /// Notes that it must be told by which address it is reached, where others are told and it listens on all.
    pub(crate) fn require_address(&self, listens: SocketAddr, settings: &mut Settings) {
        if let Self::Consul(_) = self
            && !settings.is_given("ADVERTISE_ADDRESS")
            && listens.ip().is_unspecified()
        {
            let right = "the IP address by which others reach this process, which listens on all of its own";
            settings.reject("ADVERTISE_ADDRESS", right);
        }
    }

    /// The discovery itself.
    ///
    /// # Errors
    /// [`SetupError`]: there can be no client of Consul with these settings.
    pub fn open(self, env: &Env) -> Result<Arc<dyn Discover>, SetupError> {
        Ok(match self {
            Self::Static(list) => Arc::new(list),
            Self::Dns(config) => Arc::new(Dns::new(env, config)),
            Self::Consul(config) => Arc::new(Consul::new(env, *config)?),
        })
    }
}

/// More than one would leave open whom to believe.
fn refuse_company(settings: &mut Settings) {
    let given: Vec<_> = [STATIC, DNS, CONSUL].into_iter().filter(|name| settings.is_given(name)).collect();
    for &other in given.iter().skip(1) {
        if let Some(Given { name, place, .. }) = settings.find(given[0]) {
            settings.errors.push(SettingError::Both { name, place, other: other.to_owned() });
        }
    }
}

fn read_list(text: &str, settings: &mut Settings) -> Static {
    Static::parse(text).unwrap_or_else(|error| {
        for WrongEntry(part) in error.0 {
            settings.reject_part(STATIC, &part, WrongEntry::RIGHT);
        }
        Static::new([])
    })
}

fn dns_config(settings: &mut Settings) -> Option<DnsConfig> {
    let text = settings.optional_text(DNS, DNS_RIGHT);
    let right = format!(
        "the IP:PORT of each server that knows the names, with commas between them, else those of {RESOLV_CONF}"
    );
    let servers = settings.optional("DNS_SERVERS", &right, |text| {
        text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<SocketAddr>>>()
    });
    let names = DnsNames::parse(&text?).unwrap_or_else(|error| {
        for WrongName(part) in error.0 {
            settings.reject_part(DNS, &part, WrongName::RIGHT);
        }
        DnsNames::default()
    });
    let servers = servers.unwrap_or_else(|| system_servers(Path::new(RESOLV_CONF)));
    if servers.is_empty() {
        settings.reject("DNS_SERVERS", right);
    }
    Some(DnsConfig { names, servers })
}

fn system_servers(path: &Path) -> Vec<SocketAddr> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let words = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    };
    text.lines().filter_map(words).take(DNS_SERVERS).map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()
}

fn consul_config(settings: &mut Settings) -> Option<ConsulConfig> {
    let host = settings.optional("CONSUL_HOST", CONSUL_RIGHT, |text| is_host(text).then(|| text.to_owned()));
    let port = settings.number("CONSUL_PORT", ConsulConfig::DEFAULT_PORT, 1..=u16::MAX);
    let token = settings.secret(TOKEN, "the token that Consul knows this service by");
    let uses_tls = settings.boolean("CONSUL_TLS", false);
    let ca = settings.optional_text("CONSUL_CA_FILE", CA_RIGHT);
    let datacenter = settings.optional_text("CONSUL_DATACENTER", "the datacentre whose instances are found");
    let tag = settings.optional_text("CONSUL_TAG", "what instances are tagged with, and alone are found by");
    let check = settings.one_of("CONSUL_CHECK", [("http", CheckKind::Http), ("ttl", CheckKind::Ttl)]);
    let forgotten_after = settings.duration(
        "CONSUL_DEAD_AFTER",
        ConsulConfig::DEFAULT_FORGOTTEN_AFTER,
        ConsulConfig::LEAST_FORGOTTEN_AFTER..=FORGOTTEN_AT_LAST,
    );
    let right = "the IP address by which others reach this process";
    let advertise = settings.optional("ADVERTISE_ADDRESS", right, |text| {
        text.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified())
    });
    let host = host?;
    let files = Files { token: token_file(settings), ca: ca.clone().filter(|_| uses_tls) };
    let tls = consul_tls(uses_tls, ca, settings);
    let reread = files.reread(token.as_ref(), tls.as_ref());
    Some(ConsulConfig { host, port, token, tls, reread, datacenter, tag, check, forgotten_after, advertise })
}

/// The files that somebody may change while the process runs.
struct Files {
    token: Option<String>,
    ca: Option<String>,
}

/// Where the token is in a file.
fn token_file(settings: &mut Settings) -> Option<String> {
    if settings.find(TOKEN).is_some() {
        return None;
    }
    settings.find(&file_of(TOKEN)).map(|file| file.value)
}

impl Files {
    /// What reads them again, where there is one. What has no file stays as it is.
    fn reread(self, token: Option<&SecretString>, tls: Option<&ConsulTls>) -> Option<Reread> {
        if self.token.is_none() && self.ca.is_none() {
            return None;
        }
        let (token, tls) = (token.cloned(), tls.cloned());
        Some(Reread::new(move || {
            let token = match &self.token {
                Some(path) => Some(read_file(path).ok()?),
                None => token.clone(),
            };
            let tls = match &self.ca {
                Some(path) => Some(ConsulTls::from_pem(&fs::read(path).ok()?).ok()?),
                None => tls.clone(),
            };
            Some(Credentials { token, tls })
        }))
    }
}

/// What may stand as the host of a URL, and does not change what comes after it.
fn is_host(text: &str) -> bool {
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_name && !text.is_empty()) || text.parse::<IpAddr>().is_ok()
}

fn consul_tls(uses_tls: bool, ca: Option<String>, settings: &mut Settings) -> Option<ConsulTls> {
    let Some(path) = ca else {
        if uses_tls {
            settings.missing::<()>("CONSUL_CA_FILE", CA_RIGHT);
        }
        return None;
    };
    if !uses_tls {
        settings.reject("CONSUL_CA_FILE", "left out unless CONSUL_TLS is true");
        return None;
    }
    let why = match fs::read(path) {
        Ok(pem) => match ConsulTls::from_pem(&pem) {
            Ok(tls) => return Some(tls),
            Err(NoAuthorityError) => "there is none in it".to_owned(),
        },
        Err(error) => error.kind().to_string(),
    };
    settings.reject("CONSUL_CA_FILE", format!("{CA_RIGHT} ({why})"));
    None
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_in_a_file_is_read_again_and_one_that_cannot_be_read_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let files = Files { token: Some(file.to_str().unwrap().to_owned()), ca: None };
        let reread = files.reread(Some(&"old".into()), None).unwrap();
        let token = || Some(reread.read()?.token?.expose_secret().to_owned());
        assert_eq!(token(), None);
        fs::write(&file, "new\n").unwrap();
        assert_eq!(token().as_deref(), Some("new"));
        assert!(Files { token: None, ca: None }.reread(None, None).is_none());
    }

    #[test]
    fn the_servers_of_the_system_are_those_that_its_own_resolver_asks() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("resolv.conf");
        let text = "# nameserver 10.0.0.9\nsearch internal\nnameserver 10.0.0.1\nnameserver\tfd00::1\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        fs::write(&file, text).unwrap();
        let told: Vec<_> = system_servers(&file).iter().map(SocketAddr::to_string).collect();
        assert_eq!(told, ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.2:53"]);
        assert_eq!(system_servers(&dir.path().join("none")), []);
    }
}
