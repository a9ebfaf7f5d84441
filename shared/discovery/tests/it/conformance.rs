use discovery::{Discover, Endpoint, Registration, Registry, Static};
use types::ServiceName;

const SHOP: ServiceName = ServiceName::new("shop-service");
const STORE: ServiceName = ServiceName::new("store-service");
const NOBODY: ServiceName = ServiceName::new("nobody");

fn endpoint(last: u8) -> Endpoint {
    Endpoint { http: ([10, 0, 0, last], 3000).into(), grpc: ([10, 0, 0, last], 50051).into() }
}

/// Two shops and a store, as they come.
fn town() -> [(ServiceName, Endpoint); 3] {
    [(SHOP, endpoint(2)), (STORE, endpoint(3)), (SHOP, endpoint(1))]
}

/// A discovery that knows [`town`], and what has to be kept for it.
type Known = (Box<dyn Discover>, Vec<Registration>);

fn registry() -> Known {
    let registry = Registry::default();
    let registrations = town().map(|(service, endpoint)| registry.register(&service, endpoint));
    (Box::new(registry), registrations.into())
}

fn list() -> Known {
    (Box::new(Static::new(town())), Vec::new())
}

/// Turns each `fn name(discovery)` into a test of everything that discovers.
macro_rules! for_every_discovery {
    ($(fn $name:ident($discovery:ident: &dyn Discover) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn test($discovery: &dyn Discover) $body

            #[test]
            fn in_the_registry() {
                let (registry, _registrations) = registry();
                test(&*registry);
            }

            #[test]
            fn in_the_static_list() {
                let (list, _registrations) = list();
                test(&*list);
            }
        }
    )*};
}

for_every_discovery! {
    fn a_service_has_its_instances_and_no_others_in_the_order_of_their_addresses(discovery: &dyn Discover) {
        assert_eq!(**discovery.watch(&SHOP).borrow(), [endpoint(1), endpoint(2)]);
        assert_eq!(**discovery.watch(&STORE).borrow(), [endpoint(3)]);
    }

    fn a_service_that_nobody_knows_has_no_instances_and_may_be_watched(discovery: &dyn Discover) {
        let watched = discovery.watch(&NOBODY);
        assert!(watched.borrow().is_empty());
        assert!(!watched.has_changed().unwrap());
    }

    fn what_was_there_when_the_watch_began_is_no_change(discovery: &dyn Discover) {
        assert!(!discovery.watch(&SHOP).has_changed().unwrap());
    }

    fn an_instance_that_is_known_may_register_and_withdraw_and_stays(discovery: &dyn Discover) {
        let watched = discovery.watch(&SHOP);
        discovery.register(&SHOP, endpoint(1)).withdraw();
        assert_eq!(**watched.borrow(), [endpoint(1), endpoint(2)]);
        assert!(!watched.has_changed().unwrap());
    }

    fn everybody_who_watches_sees_the_same(discovery: &dyn Discover) {
        let (one, other) = (discovery.watch(&SHOP), discovery.watch(&SHOP));
        let _registered = discovery.register(&SHOP, endpoint(9));
        assert_eq!(**one.borrow(), **other.borrow());
        assert_eq!(one.has_changed().unwrap(), other.has_changed().unwrap());
    }
}
