//! What holds of everything that discovers.

use crate::town::{Town, endpoint, until};

/// Makes a test of each text for each kind of discovery that can have it.
macro_rules! conform {
    ($($name:ident: $($kind:ident),+;)+) => {$(
        mod $name {
            $(#[tokio::test]
            async fn $kind() {
                if let Some(town) = crate::town::Town::$kind().await {
                    super::text::$name(town).await;
                }
            })+
        }
    )+};
}

conform! {
    a_service_has_its_instances_and_no_others_in_the_order_of_their_addresses:
        in_the_registry, in_the_static_list, in_dns, in_consul;
    a_service_that_nobody_knows_has_no_instances_and_may_be_watched:
        in_the_registry, in_the_static_list, in_dns, in_consul;
    what_was_known_when_the_watch_began_is_no_change:
        in_the_registry, in_the_static_list, in_dns, in_consul;
    everybody_who_watches_sees_the_same: in_the_registry, in_the_static_list, in_dns, in_consul;
    // At an agent an address has one registration, which is its process's.
    an_instance_that_is_known_may_register_and_withdraw_and_stays:
        in_the_registry, in_the_static_list, in_dns;
    // Elsewhere an instance is made known by somebody else.
    an_instance_is_found_from_its_registration_to_its_withdrawal: in_the_registry, in_consul;
    // Nothing is asked for in the background elsewhere.
    what_was_told_before_the_end_is_final: in_dns, in_consul;
}

mod text {
    use super::*;
    use crate::town::{is_current, standing};
    use runtime::Deadline;

    use crate::server::PATIENCE;

    pub(super) async fn a_service_has_its_instances_and_no_others_in_the_order_of_their_addresses(
        town: Town,
    ) {
        until(&mut town.discovery.watch(&town.shop), [1, 2]).await;
        until(&mut town.discovery.watch(&town.store), [3]).await;
    }

    pub(super) async fn a_service_that_nobody_knows_has_no_instances_and_may_be_watched(town: Town) {
        let watched = town.discovery.watch(&town.nobody);
        if town.discovery.standing().is_some() {
            standing(&*town.discovery, is_current).await;
        }
        assert!(watched.borrow().is_empty());
        assert!(!watched.has_changed().unwrap());
    }

    pub(super) async fn what_was_known_when_the_watch_began_is_no_change(town: Town) {
        let mut first = town.discovery.watch(&town.shop);
        until(&mut first, [1, 2]).await;
        let later = town.discovery.watch(&town.shop);
        assert_eq!(**later.borrow(), [endpoint(1), endpoint(2)]);
        assert!(!later.has_changed().unwrap());
    }

    pub(super) async fn an_instance_that_is_known_may_register_and_withdraw_and_stays(town: Town) {
        let mut watched = town.discovery.watch(&town.shop);
        until(&mut watched, [1, 2]).await;
        let registered = town.discovery.register(&town.shop, endpoint(1));
        registered.withdraw(Deadline::within(PATIENCE)).await.unwrap();
        assert_eq!(**watched.borrow(), [endpoint(1), endpoint(2)]);
        assert!(!watched.has_changed().unwrap());
    }

    pub(super) async fn everybody_who_watches_sees_the_same(town: Town) {
        let (mut one, mut other) = (town.discovery.watch(&town.shop), town.discovery.watch(&town.shop));
        until(&mut one, [1, 2]).await;
        assert_eq!(**one.borrow(), **other.borrow_and_update());
        let _registered = town.discovery.register(&town.shop, endpoint(1));
        assert_eq!(one.has_changed().unwrap(), other.has_changed().unwrap());
    }

    pub(super) async fn an_instance_is_found_from_its_registration_to_its_withdrawal(town: Town) {
        let mut watched = town.discovery.watch(&town.shop);
        until(&mut watched, [1, 2]).await;
        let registered = town.discovery.register(&town.shop, endpoint(9));
        until(&mut watched, [1, 2, 9]).await;
        registered.withdraw(Deadline::within(PATIENCE)).await.unwrap();
        until(&mut watched, [1, 2]).await;
    }

    pub(super) async fn what_was_told_before_the_end_is_final(town: Town) {
        let mut watched = town.discovery.watch(&town.shop);
        until(&mut watched, [1, 2]).await;
        town.discovery.close();
        let ended = Deadline::within(PATIENCE).bound(watched.changed()).await;
        assert!(ended.unwrap().is_err());
        assert_eq!(**watched.borrow(), [endpoint(1), endpoint(2)]);
    }
}
