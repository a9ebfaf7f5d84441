use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use types::ServiceName;

use crate::address::within_reach;
use crate::{Discover, Endpoint, Endpoints, Registration};

/// The services of this process, which find each other in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<ServiceName, Service>>>);

/// One that somebody has registered or watches: as many as the code names.
struct Service {
    /// How often each is registered. It goes when the last registration does.
    instances: BTreeMap<Endpoint, usize>,
    told: watch::Sender<Endpoints>,
}

impl Default for Service {
    fn default() -> Self {
        Self { instances: BTreeMap::new(), told: watch::Sender::new(Endpoints::default()) }
    }
}

impl Registry {
    fn services(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, service: &ServiceName, endpoint: Endpoint) {
        let mut services = self.services();
        let service = services.entry(service.clone()).or_default();
        *service.instances.entry(endpoint).or_default() += 1;
        service.tell();
    }

    fn remove(&self, service: &ServiceName, endpoint: Endpoint) {
        let mut services = self.services();
        let Some(service) = services.get_mut(service) else { return };
        let Some(count) = service.instances.get_mut(&endpoint) else { return };
        *count -= 1;
        if *count == 0 {
            service.instances.remove(&endpoint);
        }
        service.tell();
    }
}

impl Service {
    fn tell(&self) {
        self.told.send_if_modified(|told| {
            let is_news = !told.iter().eq(self.instances.keys());
            if is_news {
                *told = self.instances.keys().copied().collect();
            }
            is_news
        });
    }
}

impl Discover for Registry {
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints> {
        self.services().entry(service.clone()).or_default().told.subscribe()
    }

    fn register_checked(
        &self,
        service: &ServiceName,
        endpoint: Endpoint,
        _health: Option<SocketAddr>,
    ) -> Registration {
        let Endpoint { http, grpc } = endpoint;
        let endpoint = Endpoint { http: within_reach(http), grpc: within_reach(grpc) };
        self.add(service, endpoint);
        let (registry, service) = (self.clone(), service.clone());
        Registration::new(move || registry.remove(&service, endpoint))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.services();
        let instances = services.iter().map(|(name, service)| (name, service.instances.keys()));
        f.debug_map().entries(instances.map(|(name, keys)| (name, keys.collect::<Vec<_>>()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: ServiceName = ServiceName::new("shop-service");

    fn endpoint(ip: &str) -> Endpoint {
        let at = |port| SocketAddr::new(ip.parse().unwrap(), port);
        Endpoint { http: at(3000), grpc: at(50051) }
    }

    #[test]
    fn whoever_watches_is_told_of_each_change_and_of_nothing_else() {
        let registry = Registry::default();
        let mut shops = registry.watch(&SHOP);
        assert!(shops.borrow_and_update().is_empty());

        let first = registry.register(&SHOP, endpoint("10.0.0.2"));
        let second = registry.register(&SHOP, endpoint("10.0.0.1"));
        assert!(shops.has_changed().unwrap());
        assert_eq!(**shops.borrow_and_update(), [endpoint("10.0.0.1"), endpoint("10.0.0.2")]);

        let _elsewhere = registry.register(&ServiceName::new("other"), endpoint("10.0.0.3"));
        let again = registry.register(&SHOP, endpoint("10.0.0.1"));
        drop(again);
        assert!(!shops.has_changed().unwrap(), "it is the same set");

        drop(first);
        assert_eq!(**shops.borrow_and_update(), [endpoint("10.0.0.1")]);
        drop(second);
        assert!(shops.borrow_and_update().is_empty());
    }

    #[test]
    fn an_instance_that_listens_everywhere_is_found_on_loopback() {
        let registry = Registry::default();
        for (everywhere, loopback) in [("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let _registered = registry.register(&SHOP, endpoint(everywhere));
            assert_eq!(**registry.watch(&SHOP).borrow(), [endpoint(loopback)]);
        }
    }
}
