use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use discovery::{Discover as _, Registration, Registry};
use resilience::Verdict;

use super::*;
use crate::{ConnectError, SendError};

const SHOP: ServiceName = ServiceName::new("shop-service");

/// So many places are left, and so often the connections have been forgotten.
#[derive(Debug)]
struct Places {
    left: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Default for Places {
    fn default() -> Self {
        Self { left: AtomicUsize::new(usize::MAX), forgotten: AtomicUsize::new(0) }
    }
}

impl Connections for Places {
    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

fn register(registry: &Registry, last: u8) -> Registration {
    let at = |port| SocketAddr::from(([10, 0, 0, last], port));
    registry.register(&SHOP, Endpoint { http: at(3000), grpc: at(50051) })
}

fn of(news: watch::Receiver<Endpoints>) -> Instances<Places> {
    Instances::new(&SHOP, news, |endpoint| endpoint.http, BreakerConfig::default(), &Random::seeded(1))
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

/// How much of what was logged is for operators.
#[derive(Clone, Default)]
struct Told(Arc<AtomicUsize>);

impl Told {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
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

#[tokio::test(start_paused = true)]
async fn an_instance_that_refuses_is_left_out_but_for_one_request_in_each_pause() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    refuse(&instances, &mut instances.search(&Watch::default()), 1);
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0]);
    for _ in 0..3 {
        tokio::time::advance(Away::PAUSE).await;
        let search = instances.search(&Watch::default());
        let sent: Vec<_> = (0..20).map(|_| search.next().unwrap()).collect();
        assert_eq!(sent.iter().filter(|sending| last(sending.instance.addr) == 1).count(), 1);
    }
    tokio::time::advance(Away::PAUSE).await;
    let mut back = instances.search(&Watch::default()).next().unwrap();
    assert_eq!(last(back.instance.addr), 1);
    back.connected();
    back.answered(Verdict::Success);
    let [_, first, ..] = spread(&instances, 100).await;
    assert!(first > 30, "{first}");
}

#[tokio::test(start_paused = true)]
async fn where_all_refuse_each_is_tried_once_and_the_last_reason_is_told() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    for _ in 0..2 {
        let mut search = instances.search(&Watch::default());
        let mut tried = Vec::new();
        while let Ok(sending) = search.next() {
            tried.push(last(sending.instance.addr));
            search.unreached(sending, Arc::new(ConnectError::Slow(Duration::ZERO)));
        }
        tried.sort_unstable();
        assert_eq!(tried, [1, 2]);
        assert!(matches!(search.next(), Err(SendError::Unreached { service, .. }) if service == SHOP));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_turn_to_connect_does_not_come_is_passed_over_once_and_not_left_out() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let sending = search.next().unwrap();
    let busy = last(sending.instance.addr);
    search.unreached(sending, Arc::new(ConnectError::Busy));
    assert_ne!(last(search.next().unwrap().instance.addr), busy);
    let counts = spread(&instances, 100).await;
    assert!(counts[usize::from(busy)] > 30, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_the_breaker_is_open_but_one_request_after_each_pause() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    assert_eq!(
        instance(&instances, 1).connections.forgotten.load(Ordering::Relaxed),
        1,
        "they may lead nowhere"
    );
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0]);
    for _ in 0..3 {
        tokio::time::advance(BreakerConfig::default().pause).await;
        let search = instances.search(&Watch::default());
        let sent: Vec<_> = (0..20).map(|_| search.next().unwrap()).collect();
        let (trial, others): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|sending| last(sending.instance.addr) == 1);
        assert_eq!((trial.len(), others.len()), (1, 19));
        trial.into_iter().for_each(Sending::failed);
    }
    tokio::time::advance(BreakerConfig::default().pause).await;
    assert_eq!(answered(&instances, Duration::ZERO, Verdict::Success).await, 1);
    let [_, first, ..] = spread(&instances, 100).await;
    assert!(first > 30, "it is used as before: {first}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_refuses_its_trial_is_sent_one_request_in_each_pause() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    for _ in 0..3 {
        tokio::time::advance(BreakerConfig::default().pause).await;
        let mut sent = [0; 3];
        for _ in 0..50 {
            let sending = instances.search(&Watch::default()).next().unwrap();
            let number = last(sending.instance.addr);
            sent[usize::from(number)] += 1;
            sending.answered(if number == 1 { Verdict::Nothing } else { Verdict::Success });
        }
        assert_eq!(sent, [0, 1, 49]);
    }
}

#[tokio::test(start_paused = true)]
async fn that_an_instance_fails_is_news_once() {
    let registry = Registry::default();
    let _registered = register(&registry, 1);
    let instances = instances(&registry);
    let told = Told::default();
    let _told = tracing::subscriber::set_default(told.clone());
    open(&instances, 1);
    for _ in 0..3 {
        tokio::time::advance(BreakerConfig::default().pause).await;
        instances.search(&Watch::default()).next().unwrap().failed();
    }
    assert_eq!(told.count(), 1);
    tokio::time::advance(BreakerConfig::default().pause).await;
    answered(&instances, Duration::ZERO, Verdict::Success).await;
    assert_eq!(told.count(), 2, "that it is well again is news");
}

#[tokio::test(start_paused = true)]
async fn where_every_breaker_is_open_nothing_is_sent_and_it_is_told_until_when() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    tokio::time::advance(Duration::from_millis(300)).await;
    open(&instances, 2);
    let Err(SendError::Open { source, .. }) = instances.search(&Watch::default()).next() else {
        panic!("it is sent")
    };
    assert_eq!(source.retry_after, Duration::from_millis(700));
}

#[tokio::test(start_paused = true)]
async fn what_failed_at_one_instance_goes_to_another_and_only_then_to_the_same() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let first = search.next().unwrap().instance.addr;
    assert_eq!(search.elsewhere(first, Duration::from_secs(7)), Duration::ZERO);
    let second = search.next().unwrap().instance.addr;
    assert_ne!(first, second);
    let wait = search.elsewhere(second, Duration::from_secs(7));
    assert_eq!(wait, Duration::from_secs(7), "whoever comes back waits as long as it was told to");
    assert!(search.next().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_failed_goes_to_an_instance_that_there_is_then() {
    let registry = Registry::default();
    let mut registered = vec![register(&registry, 1), register(&registry, 2)];
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let first = search.next().unwrap().instance.addr;
    drop(registered.swap_remove(usize::from(2 - last(first))));
    let _third = register(&registry, 3);
    search.elsewhere(first, Duration::ZERO);
    assert_eq!(last(search.next().unwrap().instance.addr), 3, "the other has gone meanwhile");
}

#[tokio::test(start_paused = true)]
async fn what_did_not_reach_an_instance_goes_to_those_that_there_are_then() {
    let registry = Registry::default();
    let registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let mut search = instances.search(&Watch::default());
    let sending = search.next().unwrap();
    drop(registered);
    let _third = register(&registry, 3);
    search.unreached(sending, Arc::new(ConnectError::Slow(Duration::ZERO)));
    assert_eq!(last(search.next().unwrap().instance.addr), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_nobody_changes_nobodys_breaker() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    open(&instances, 1);
    open(&instances, 2);
    let search = instances.search(&Watch::default());
    tokio::time::advance(BreakerConfig::default().pause).await;
    assert!(matches!(search.nobody(), SendError::Open { .. }));
    let due = instances.status().into_iter().map(|status| status.breaker);
    assert_eq!(due.collect::<Vec<_>>(), [State::HalfOpen; 2]);
    assert!(search.enter(&instance(&instances, 1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_full_instance_is_waited_for_before_one_that_does_not_let_us_in_is_tried() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let place = |places: &Places| (places.left.load(Ordering::Relaxed) > 0).then_some(());
    let found = || match instances.search(&Watch::default()).next_with(place) {
        Ok((sending, ())) => Ok(last(sending.instance.addr)),
        Err(Nowhere::Full(full)) => Err(full.iter().map(|instance| last(instance.addr)).collect::<Vec<_>>()),
        Err(Nowhere::Error(error)) => panic!("{error}"),
    };
    let have = |number, left| instance(&instances, number).connections.left.store(left, Ordering::Relaxed);
    have(1, 0);
    have(2, 0);
    let mut full = found().unwrap_err();
    full.sort_unstable();
    assert_eq!(full, [1, 2]);

    have(2, 1);
    assert_eq!((found(), found()), (Ok(2), Ok(2)));
    instance(&instances, 2).away.begin();
    assert_eq!(found(), Err(vec![1]));
    instance(&instances, 1).away.begin();
    assert_eq!(found(), Ok(2));
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

#[tokio::test(start_paused = true)]
async fn what_was_let_in_does_not_go_out_when_the_breaker_has_opened_meanwhile() {
    let registry = Registry::default();
    let _registered = register(&registry, 1);
    let instances = instances(&registry);
    let search = instances.search(&Watch::default());
    let connecting = search.next().unwrap();
    assert!(connecting.may_go());
    open(&instances, 1);
    assert!(!connecting.may_go());
    tokio::time::advance(BreakerConfig::default().pause).await;
    let trial = search.next().unwrap();
    assert!(trial.may_go() && !connecting.may_go());
}
