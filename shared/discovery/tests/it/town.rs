//! A few shops and a store, as each kind of discovery knows them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use discovery::{
    Consul, ConsulConfig, Discover, Dns, DnsConfig, DnsNames, Endpoint, Endpoints, Registration, Registry,
    Standing, Static,
};
use runtime::{Deadline, Env};
use tokio::sync::watch;
use tokio::time::interval;
use types::ServiceName;

use crate::names::{Names, Says};
use crate::server::{PATIENCE, Server};

pub(crate) fn endpoint(last: u8) -> Endpoint {
    Endpoint { http: ([10, 0, 0, last], 3000).into(), grpc: ([10, 0, 0, last], 50051).into() }
}

/// Services with names that no other test has, and what is kept for them.
pub(crate) struct Town {
    pub(crate) discovery: Arc<dyn Discover>,
    pub(crate) shop: ServiceName,
    pub(crate) store: ServiceName,
    pub(crate) nobody: ServiceName,
    _kept: Vec<Registration>,
}

impl Town {
    fn new(env: &Env, discovery: impl FnOnce(&[(ServiceName, Endpoint); 3]) -> Arc<dyn Discover>) -> Self {
        let [shop, store, nobody] = ["shop", "store", "nobody"].map(|name| service(env, name));
        // As they come.
        let town = [(shop.clone(), endpoint(2)), (store.clone(), endpoint(3)), (shop.clone(), endpoint(1))];
        let discovery = discovery(&town);
        let kept = town.iter().map(|(service, endpoint)| discovery.register(service, *endpoint)).collect();
        Self { discovery, shop, store, nobody, _kept: kept }
    }

    pub(crate) async fn in_the_registry() -> Option<Self> {
        Some(Self::new(&Env::system(1), |_| Arc::new(Registry::default())))
    }

    pub(crate) async fn in_the_static_list() -> Option<Self> {
        Some(Self::new(&Env::system(1), |town| Arc::new(Static::new(town.clone()))))
    }

    pub(crate) async fn in_dns() -> Option<Self> {
        let env = Env::system(1);
        let names = Names::default();
        let server = names.listen(&env).await;
        let town = Self::new(&env, |town| {
            for (service, _) in town {
                let of = town.iter().filter(|(other, _)| other == service);
                let ips = of.map(|(_, endpoint)| endpoint.http.ip()).collect();
                names.say(&format!("{service}.test"), Says::Addresses(ips, 60));
            }
            let config =
                DnsConfig { names: DnsNames::parse("{service}.test").unwrap(), servers: vec![server] };
            Arc::new(Dns::new(&env, config))
        });
        Some(town)
    }

    pub(crate) async fn in_consul() -> Option<Self> {
        let Server { host, port, .. } = Server::open()?;
        let env = Env::system(1);
        Some(Self::new(&env, |_| Arc::new(Consul::new(&env, ConsulConfig::at(host, port)).unwrap())))
    }
}

/// The name of a service that no other test has.
pub(crate) fn service(env: &Env, name: &str) -> ServiceName {
    format!("{name}-{}", &env.ids.uuid().simple().to_string()[20..]).parse().unwrap()
}

/// Waits until these, by their last numbers, are the instances.
pub(crate) async fn until(told: &mut watch::Receiver<Endpoints>, last: impl IntoIterator<Item = u8>) {
    let wanted: BTreeSet<_> = last.into_iter().map(endpoint).collect();
    let seen = told.wait_for(|endpoints| endpoints.iter().eq(wanted.iter()));
    let seen = Deadline::within(PATIENCE).bound(seen).await.map(|seen| seen.is_ok());
    assert_eq!(seen, Ok(true), "{wanted:?}");
}

/// Waits until `is_so` holds of how far a discovery's knowledge may be relied on.
pub(crate) async fn standing(discovery: &dyn Discover, is_so: impl Fn(&Standing) -> bool) -> Standing {
    /// It is looked at, since nobody tells when it changes.
    const EVERY: Duration = Duration::from_millis(10);
    let (asked, mut moments) = (Deadline::within(PATIENCE), interval(EVERY));
    loop {
        let standing = discovery.standing().unwrap();
        if is_so(&standing) {
            return standing;
        }
        assert!(!asked.has_passed(), "{standing:?}");
        moments.tick().await;
    }
}

pub(crate) fn is_current(standing: &Standing) -> bool {
    matches!(standing, Standing::Current { .. })
}

pub(crate) fn is_stale(standing: &Standing) -> bool {
    matches!(standing, Standing::Stale { .. })
}
