//! What is held against an instance, and told of it.

use futures_util::future::join_all;
use runtime::Deadline;

use super::*;
use crate::waiting::{Waited, wait};

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
async fn what_only_a_request_in_a_hurry_or_another_one_met_opens_no_breaker() {
    let registry = Registry::default();
    let _registered = register(&registry, 1);
    let fail = |error: fn() -> ConnectError| {
        let instances = instances(&registry);
        for _ in 0..BreakerConfig::default().failures_in_a_row.get() {
            let mut search = instances.search(&Watch::default());
            let sending = search.next().unwrap();
            search.unreached(sending, Arc::new(error()));
        }
        let [status] = instances.status().try_into().unwrap();
        (status.breaker, status.is_away)
    };
    assert_eq!(fail(|| ConnectError::Slow(Duration::from_millis(500))), (State::Open, true));
    let in_a_hurry = || ConnectError::Slow(Duration::from_millis(10));
    assert_eq!(fail(in_a_hurry), (State::Closed, true), "it is passed over all the same");
    let theirs = || ConnectError::Theirs(Arc::new(ConnectError::Slow(Duration::from_secs(3))));
    assert_eq!(fail(theirs), (State::Closed, false));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_get_onto_a_connection_goes_elsewhere_and_whoever_has_none_that_lasts_fails() {
    let registry = Registry::default();
    let _registered = [1, 2].map(|last| register(&registry, last));
    let instances = instances(&registry);
    let unsent = || {
        let mut search = instances.search(&Watch::default());
        let sending = search.enter(&instance(&instances, 1)).unwrap();
        search.unsent(sending, false);
        last(search.next().unwrap().instance.addr)
    };
    assert_eq!(unsent(), 2);
    assert_eq!(spread(&instances, 20).await, [0, 0, 20, 0], "it is dear for it");
    instance(&instances, 2).load.answered(Duration::from_secs(5), tokio::time::Instant::now());
    assert_eq!([(); 10].map(|()| unsent()), [2; 10], "however dear the others are");
    assert!(instance(&instances, 1).breaker.is_closed(), "it may only take its leave");
    for _ in 0..BreakerConfig::default().failures_in_a_row.get() {
        let mut search = instances.search(&Watch::default());
        let sending = search.enter(&instance(&instances, 1)).unwrap();
        search.unsent(sending, true);
    }
    assert!(!instance(&instances, 1).breaker.is_closed());
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

/// What becomes of requests to one instance that never answers, of which some wait until their deadline.
async fn wait_in_vain(instances: &Instances<Places>, meanwhile: impl Future<Output = ()>) {
    let requests = (0..10).map(async |_| {
        let mut sending = instances.search(&Watch::default()).next().unwrap();
        sending.connected();
        let deadline = Deadline::within(Duration::from_secs(4));
        let waited = wait(std::future::pending::<()>(), deadline, &sending, || false).await;
        assert!(matches!(waited, Waited::TooLong));
        sending.late(true);
    });
    tokio::join!(join_all(requests), meanwhile);
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_late_because_this_process_stood_still_is_held_against_nobody() {
    let registry = Registry::default();
    let _registered = register(&registry, 1);
    let instances = instances(&registry);
    let long = Duration::from_secs(60);
    wait_in_vain(&instances, tokio::time::advance(long)).await;
    assert!(instance(&instances, 1).breaker.is_closed(), "it may have answered all the time");

    let broken = instances.search(&Watch::default()).next().unwrap();
    wait_in_vain(&instances, tokio::time::advance(long)).await;
    assert!(broken.has_slept());

    wait_in_vain(&instances, async {}).await;
    assert!(!instance(&instances, 1).breaker.is_closed(), "it is well and truly late");
}
