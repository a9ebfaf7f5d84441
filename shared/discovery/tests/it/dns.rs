//! Names whose addresses go on changing, under a paused clock.

use std::net::IpAddr;
use std::time::Duration;

use discovery::{Discover, Dns, DnsConfig, DnsNames, Endpoints, Standing};
use runtime::{Clock, Deadline, Env, Net, Random};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use types::{ServiceName, Timestamp};

use crate::names::{Family, NO_SUCH_NAME, Names, SERVER_FAILURE, Says};
use crate::server::PATIENCE;
use crate::town::{endpoint, is_stale};

const SHOP: ServiceName = ServiceName::new("shop-service");
const NAME: &str = "shop.test";

/// Discovery over `names`, which needs no time to answer.
fn dns(names: &Names) -> Dns {
    let seeded = || Random::seeded(1);
    let clock = || Clock::from_tokio(Timestamp::from_micros(0));
    let server = Env::simulated(clock(), seeded(), Net::system());
    let env = Env::simulated(clock(), seeded(), names.net(&server));
    let servers = vec!["10.0.0.53:53".parse().unwrap()];
    let config = DnsConfig { names: DnsNames::parse("shop-service=shop.test").unwrap(), servers };
    Dns::new(&env, config)
}

fn addresses(last: impl IntoIterator<Item = u8>, seconds: u32) -> Says {
    Says::Addresses(last.into_iter().map(|last| endpoint(last).http.ip()).collect(), seconds)
}

/// How long it takes until the set changes.
async fn change(told: &mut watch::Receiver<Endpoints>) -> Duration {
    let began = Instant::now();
    Deadline::within(PATIENCE).bound(told.changed()).await.expect("it changes").unwrap();
    began.elapsed()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_both_families_are_followed_by_their_lifetime() {
    let names = Names::default();
    let v6: IpAddr = "fd00::1".parse().unwrap();
    names.say(NAME, Says::Addresses(vec![v6, endpoint(1).http.ip()], 7));
    let dns = dns(&names);
    let mut told = dns.watch(&SHOP);
    change(&mut told).await;
    let shown: Vec<_> = told.borrow().iter().map(|at| format!("{} {}", at.http, at.grpc)).collect();
    assert_eq!(shown, ["10.0.0.1:3000 10.0.0.1:50051", "[fd00::1]:3000 [fd00::1]:50051"]);
    names.say(NAME, addresses([2], 7));
    assert_eq!(change(&mut told).await, seconds(7));
    assert_eq!(**told.borrow(), [endpoint(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_is_taken_within_bounds() {
    for (lifetime, asked_after) in [(0, 1), (3600, 30)] {
        let names = Names::default();
        names.say(NAME, addresses([1], lifetime));
        let dns = dns(&names);
        let mut told = dns.watch(&SHOP);
        change(&mut told).await;
        names.say(NAME, addresses([2], lifetime));
        assert_eq!(change(&mut told).await, seconds(asked_after));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_has_lost_all_its_addresses_is_not_believed_at_once() {
    for gone in [Says::Code(NO_SUCH_NAME), addresses([], 5)] {
        let names = Names::default();
        names.say(NAME, addresses([1], 5));
        let dns = dns(&names);
        let mut told = dns.watch(&SHOP);
        change(&mut told).await;
        names.say(NAME, gone);
        assert_eq!(change(&mut told).await, seconds(5 + 30));
        assert!(told.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_or_falls_silent_costs_no_address_and_is_asked_on() {
    for failing in [Says::Code(SERVER_FAILURE), Says::Silence] {
        let names = Names::default();
        names.say(NAME, addresses([1], 1));
        let dns = dns(&names);
        let mut told = dns.watch(&SHOP);
        change(&mut told).await;
        names.say(NAME, failing);
        sleep(seconds(60)).await;
        assert_eq!(**told.borrow(), [endpoint(1)]);
        let standing = dns.standing().unwrap();
        assert!(is_stale(&standing) && standing.age() >= Some(seconds(58)), "{standing:?}");
        // The longest pause, and the patience with an answer that does not come.
        names.say(NAME, addresses([2], 1));
        assert!(change(&mut told).await <= seconds(7));
        assert_eq!(dns.standing(), Some(Standing::Current { age: Duration::ZERO }));
    }
}

/// An address of each family.
fn both() -> Vec<IpAddr> {
    vec![endpoint(1).http.ip(), "fd00::1".parse().unwrap()]
}

fn told_of(told: &watch::Receiver<Endpoints>) -> Vec<IpAddr> {
    told.borrow().iter().map(|at| at.http.ip()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_the_questions_about_one_family_is_believed_about_the_other() {
    for (dropped, found) in [(Family::V6, 0), (Family::V4, 1)] {
        let names = Names::default();
        names.say(NAME, Says::AddressesBut(both(), 5, dropped));
        let dns = dns(&names);
        let mut told = dns.watch(&SHOP);
        assert!(change(&mut told).await < seconds(1));
        assert_eq!(told_of(&told), [both()[found]]);
        assert_eq!(dns.standing(), Some(Standing::Current { age: Duration::ZERO }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_about_which_there_is_no_answer_any_more_keeps_its_addresses() {
    let names = Names::default();
    names.say(NAME, Says::Addresses(both(), 5));
    let dns = dns(&names);
    let mut told = dns.watch(&SHOP);
    change(&mut told).await;
    names.say(NAME, Says::AddressesBut(vec![endpoint(2).http.ip()], 5, Family::V6));
    change(&mut told).await;
    assert_eq!(told_of(&told), [endpoint(2).http.ip(), both()[1]]);
    names.say(NAME, addresses([2], 5));
    change(&mut told).await;
    assert_eq!(told_of(&told), [endpoint(2).http.ip()], "it answers that there is none");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_no_one_machine_is_left_out_and_the_others_are_found() {
    let names = Names::default();
    let wrong = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1"];
    let wrong = wrong.map(|ip| ip.parse().unwrap());
    names.say(NAME, Says::Addresses([&wrong[..], &both()].concat(), 5));
    let dns = dns(&names);
    let mut told = dns.watch(&SHOP);
    change(&mut told).await;
    assert_eq!(told_of(&told), both());
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_no_more_when_nobody_watches() {
    let names = Names::default();
    names.say(NAME, addresses([1], 1));
    let dns = dns(&names);
    let mut told = dns.watch(&SHOP);
    change(&mut told).await;
    drop(told);
    sleep(seconds(1)).await;
    let asked = names.asked();
    sleep(seconds(60)).await;
    assert_eq!(names.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_addresses_are_a_thousand_instances() {
    let names = Names::default();
    let ips = (0..1_000_u32).map(|number| IpAddr::from((0x0a01_0000 + number).to_be_bytes())).collect();
    names.say(NAME, Says::Addresses(ips, 5));
    let dns = dns(&names);
    let mut told = dns.watch(&SHOP);
    change(&mut told).await;
    assert_eq!(told.borrow().len(), 1_000);
}
