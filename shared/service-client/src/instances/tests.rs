mod ailing;
mod blaming;

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use discovery::{Discover as _, Registration, Registry};
use resilience::Verdict;

use super::*;
use crate::{ConnectError, SendError};

const SHOP: ServiceName = ServiceName::new("shop-service");

/// So many places are left, and so often the connections have been forgotten and made in the background.
#[derive(Debug)]
struct Places {
    left: AtomicUsize,
    forgotten: AtomicUsize,
    dialled: AtomicUsize,
    is_connected: AtomicBool,
    is_dead: AtomicBool,
}

impl Default for Places {
    fn default() -> Self {
        let (left, [forgotten, dialled]) = (AtomicUsize::new(usize::MAX), Default::default());
        let [is_connected, is_dead] = Default::default();
        Self { left, forgotten, dialled, is_connected, is_dead }
    }
}

impl Connections for Places {
    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        self.is_connected.store(false, Ordering::Relaxed);
    }

    fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }
}

fn register(registry: &Registry, last: u8) -> Registration {
    let at = |port| SocketAddr::from(([10, 0, 0, last], port));
    registry.register(&SHOP, Endpoint { http: at(3000), grpc: at(50051) })
}

fn of(news: watch::Receiver<Endpoints>) -> Instances<Places> {
    let reconnect = Reconnect::by(|instance: Arc<Instance<Places>>| {
        let Places { dialled, is_connected, is_dead, .. } = &instance.connections;
        dialled.fetch_add(1, Ordering::Relaxed);
        is_connected.store(!is_dead.load(Ordering::Relaxed), Ordering::Relaxed);
    });
    let (breaker, random) = (BreakerConfig::default(), Random::seeded(1));
    Instances::new(&SHOP, news, |endpoint| endpoint.http, breaker, &random, reconnect)
}

fn instances(registry: &Registry) -> Instances<Places> {
    of(registry.watch(&SHOP))
}

/// The last number of an address.
fn last(addr: SocketAddr) -> u8 {
    let SocketAddr::V4(addr) = addr else { unreachable!("the tests register no other") };
    addr.ip().octets()[3]
}

/// Sends a request that is answered after `took`; to which instance.
async fn answered(instances: &Instances<Places>, took: Duration, verdict: Verdict) -> u8 {
    let sending = instances.search(&Watch::default()).next().unwrap();
    let number = last(sending.instance.addr);
    tokio::time::advance(took).await;
    sending.answered(verdict);
    number
}

/// To how many of `requests` that are answered at once each instance was sent.
async fn spread(instances: &Instances<Places>, requests: usize) -> [usize; 4] {
    let mut counts = [0; 4];
    for _ in 0..requests {
        counts[usize::from(answered(instances, Duration::ZERO, Verdict::Success).await)] += 1;
    }
    counts
}

fn instance(instances: &Instances<Places>, number: u8) -> Arc<Instance<Places>> {
    let known = instances.known();
    let found = known.instances.iter().find(|instance| last(instance.addr) == number);
    Arc::clone(found.unwrap())
}

/// Has the connection to that instance refused.
fn refuse(instances: &Instances<Places>, search: &mut Search<'_, Places>, number: u8) {
    let sending = search.enter(&instance(instances, number)).unwrap();
    search.unreached(sending, Arc::new(ConnectError::Slow(Duration::ZERO)));
}

/// Opens the breaker of an instance.
fn open(instances: &Instances<Places>, number: u8) {
    let search = instances.search(&Watch::default());
    for _ in 0..BreakerConfig::default().failures_in_a_row.get() {
        search.enter(&instance(instances, number)).unwrap().failed();
    }
}

#[tokio::test(start_paused = true)]
async fn instances_that_cost_the_same_are_sent_the_same() {
    let registry = Registry::default();
    let _registered = [1, 2, 3].map(|last| register(&registry, last));
    let [_, counts @ ..] = spread(&instances(&registry), 3_000).await;
    assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_less_under_way_is_sent_the_next() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let search = instances.search(&Watch::default());
    let under_way: Vec<_> = (0..100).map(|_| search.next().unwrap()).collect();
    let of_first = under_way.iter().filter(|sending| last(sending.instance.addr) == 1).count();
    assert_eq!(of_first, 50);
}

#[tokio::test(start_paused = true)]
async fn a_slow_instance_is_sent_little_until_it_is_no_longer_slow() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut slow = 0;
    for _ in 0..1_000 {
        let sending = instances.search(&Watch::default()).next().unwrap();
        let is_slow = last(sending.instance.addr) == 1;
        tokio::time::advance(Duration::from_millis(if is_slow { 500 } else { 2 })).await;
        sending.answered(Verdict::Success);
        slow += u32::from(is_slow);
    }
    assert!(slow <= 2, "{slow}");
    tokio::time::advance(Duration::from_secs(60)).await;
    let [_, first, second, _] = spread(&instances, 100).await;
    assert!(first > 30 && second > 30, "{first} and {second}");
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_is_sent_more_and_more() {
    let registry = Registry::default();
    let _first = register(&registry, 1);
    let instances = instances(&registry);
    answered(&instances, Duration::from_millis(1), Verdict::Success).await;
    let _second = register(&registry, 2);
    let share = async || {
        let search = instances.search(&Watch::default());
        let under_way: Vec<_> = (0..110).map(|_| search.next().unwrap()).collect();
        under_way.iter().filter(|sending| last(sending.instance.addr) == 2).count()
    };
    assert_eq!(share().await, 10);
    tokio::time::advance(Duration::from_secs(5)).await;
    let half_way = share().await;
    assert!((12..30).contains(&half_way), "{half_way}");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(share().await >= 55);
}

#[tokio::test(start_paused = true)]
async fn the_set_is_followed_and_instances_that_stay_keep_their_connections() {
    let registry = Registry::default();
    let instances = instances(&registry);
    assert!(
        matches!(instances.search(&Watch::default()).next(), Err(SendError::Nobody(service)) if service == SHOP)
    );

    let first = register(&registry, 1);
    let kept = instance(&instances, 1);
    let _second = register(&registry, 2);
    assert!(Arc::ptr_eq(&instance(&instances, 1), &kept));

    drop(first);
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0]);
    drop(registry);
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0], "the last set is final");
}

#[tokio::test(start_paused = true)]
async fn the_last_set_of_a_sender_that_is_gone_is_taken_in() {
    let at = |last: u8| -> SocketAddr { ([10, 0, 0, last], 50051).into() };
    let endpoints = |last| -> Endpoints { [Endpoint { http: at(last), grpc: at(last) }].into() };
    let (sender, news) = watch::channel(endpoints(1));
    let instances = of(news);
    assert_eq!(spread(&instances, 1).await, [0, 1, 0, 0]);
    sender.send(endpoints(2)).unwrap();
    drop(sender);
    assert_eq!(spread(&instances, 2).await, [0, 0, 2, 0]);
}

#[test]
fn two_that_are_drawn_differ_and_each_comes_as_often_as_the_others() {
    let lots = Lots::new(&Random::seeded(1));
    let mut counts = [0; 5];
    for _ in 0..10_000 {
        let (one, other) = lots.two(5);
        assert_ne!(one, other);
        counts[one] += 1;
        counts[other] += 1;
    }
    assert!(counts.iter().all(|count| (3_800..4_200).contains(count)), "{counts:?}");
    assert_eq!((lots.two(1), lots.two(0)), ((0, 0), (0, 0)));
}
