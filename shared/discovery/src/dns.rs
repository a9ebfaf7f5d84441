//! Names whose addresses are the instances, such as those of Kubernetes' headless services.
//!
//! Source: RFC 1035; RFC 3596 for AAAA; RFC 7766 for TCP, which every server must speak, which needs no larger limits
//! for a set of a thousand, and whose answers nobody off the path can forge.

mod message;
mod names;
mod resolver;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use runtime::{Env, Random};
use tokio::sync::watch;
use tokio::time::sleep;
use types::ServiceName;

use self::names::Name;
pub use self::names::{DnsNames, DnsNamesError, WrongName};
use self::resolver::{Found, Resolver};
use crate::backoff::Backoff;
use crate::watches::{Watched, Watches};
use crate::{Discover, Endpoint, Endpoints, Registration, Standing};

/// The services whose instances are the addresses of names. An instance is made known by whoever keeps the names.
pub struct Dns {
    resolver: Arc<Resolver>,
    random: Random,
    names: DnsNames,
    watches: Watches,
    nobody: watch::Sender<Endpoints>,
}

/// Which names stand for which services, and who knows their addresses.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// The names.
    pub names: DnsNames,
    /// The servers, each of which is asked when the ones before it gave no answer.
    pub servers: Vec<SocketAddr>,
}

/// However short the lifetime of an answer is, it is used for so long.
const SHORTEST: Duration = Duration::from_secs(1);
/// However long it is, it is asked again after this: an instance that is new is to be found, and one that is gone to be
/// left alone, within half a minute.
const LONGEST: Duration = Duration::from_secs(30);
/// How long an answer is used that a name has no address, whose own lifetime is meant for other uses.
const WITHOUT_ADDRESS: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Dns {
    /// The names of `config`. A server is asked once somebody watches.
    pub fn new(env: &Env, config: DnsConfig) -> Self {
        let DnsConfig { names, servers } = config;
        Self {
            resolver: Arc::new(Resolver::new(&env.net, &env.random, servers)),
            random: env.random.clone(),
            names,
            watches: Watches::new(&env.tasks),
            nobody: watch::Sender::new(Endpoints::default()),
        }
    }
}

impl Discover for Dns {
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints> {
        let Some(name) = self.names.of(service) else { return self.nobody.subscribe() };
        let (resolver, backoff) = (Arc::clone(&self.resolver), Backoff::new(&self.random, LONGEST_PAUSE));
        self.watches.watch(service, |watched| follow(resolver, backoff, name, watched))
    }

    fn register_checked(&self, _: &ServiceName, _: Endpoint, _: Option<SocketAddr>) -> Registration {
        Registration::kept_elsewhere()
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.watches.standing())
    }

    fn close(&self) {
        self.watches.close();
    }
}

/// Asks for ever, each time when the last answer has had its time.
async fn follow(resolver: Arc<Resolver>, mut backoff: Backoff, name: Name, watched: Arc<Watched>) {
    let mut known = Known::default();
    loop {
        let pause = match resolver.look_up(&name.host).await {
            Ok(found) => {
                backoff.reset();
                let lifetime = found.lifetime;
                known.learn(found, &name.host);
                watched.learn_of(known.addresses().map(|ip| name.endpoint(ip)));
                let lifetime = if known.is_empty() { WITHOUT_ADDRESS } else { lifetime };
                lifetime.clamp(SHORTEST, LONGEST)
            }
            Err(error) => {
                watched.fail(&format!("{}: {error}", name.host));
                backoff.pause()
            }
        };
        sleep(pause).await;
    }
}

/// The addresses of a name, as they were last told for each family. One of which nothing is told keeps those.
#[derive(Default)]
struct Known {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// Whether it has been told that one of them is kept.
    keeps: bool,
}

impl Known {
    fn learn(&mut self, found: Found, host: &str) {
        let Found { v4, v6, failed, .. } = found;
        let kept_one = std::mem::replace(&mut self.keeps, failed.is_some());
        if let Some(error) = failed.filter(|_| !kept_one) {
            tracing::warn!(host, %error, "DNS tells the addresses of one family alone; those of the other are kept");
        }
        self.v4 = v4.unwrap_or_else(|| std::mem::take(&mut self.v4));
        self.v6 = v6.unwrap_or_else(|| std::mem::take(&mut self.v6));
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(&self.v6).copied()
    }

    fn is_empty(&self) -> bool {
        self.addresses().next().is_none()
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns")
            .field("names", &self.names)
            .field("watches", &self.watches)
            .finish_non_exhaustive()
    }
}
