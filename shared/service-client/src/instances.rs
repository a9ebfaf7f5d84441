use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use discovery::{Endpoint, Endpoints};
use runtime::Deadline;
use tokio::sync::watch;
use tokio::time::Instant;
use types::ServiceName;

use crate::dialer::{Dialer, told};
use crate::{ConnectError, SendError};

/// The instances of a service as they are known now, each with its `connections`.
#[derive(Debug)]
pub(crate) struct Instances<C> {
    service: ServiceName,
    address: fn(&Endpoint) -> SocketAddr,
    known: ArcSwap<Known<C>>,
    /// Held by whoever takes in what is new.
    updating: Mutex<()>,
    turn: AtomicUsize,
}

/// A set of endpoints and what is made of it.
#[derive(Debug)]
struct Known<C> {
    /// Tells when the set is no longer the last one.
    news: watch::Receiver<Endpoints>,
    instances: Vec<Arc<Instance<C>>>,
}

/// An instance that can be connected to. What it holds ends with the last request to it once it is no longer known.
#[derive(Debug)]
pub(crate) struct Instance<C> {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: C,
    away: Away,
}

impl<C: Default> Instances<C> {
    pub(crate) fn new(
        service: &ServiceName,
        news: watch::Receiver<Endpoints>,
        address: fn(&Endpoint) -> SocketAddr,
    ) -> Self {
        let known = ArcSwap::from_pointee(Known::take(news, &[], address));
        Self {
            service: service.clone(),
            address,
            known,
            updating: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Goes over the instances for one request, beginning with the next in turn.
    pub(crate) fn search(&self) -> Search<'_, C> {
        if self.known.load().is_old() {
            self.update();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Search { service: &self.service, known: self.known.load_full(), turn, tried: Vec::new(), error: None }
    }

    fn update(&self) {
        let _updating = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if known.is_old() {
            self.known.store(Arc::new(Known::take(known.news.clone(), &known.instances, self.address)));
        }
    }
}

impl<C: Default> Known<C> {
    fn take(
        mut news: watch::Receiver<Endpoints>,
        before: &[Arc<Instance<C>>],
        address: fn(&Endpoint) -> SocketAddr,
    ) -> Self {
        let endpoints = Arc::clone(&news.borrow_and_update());
        let instance = |endpoint| {
            let addr = address(endpoint);
            let kept = before.iter().find(|instance| instance.addr == addr);
            kept.map_or_else(|| Arc::new(Instance::new(addr)), Arc::clone)
        };
        Self { instances: endpoints.iter().map(instance).collect(), news }
    }

    /// The last set of a sender that is gone is final, and may still be news.
    fn is_old(&self) -> bool {
        self.news.has_changed().unwrap_or_else(|_gone| self.news.borrow().has_changed())
    }
}

/// One request's way to an instance.
pub(crate) struct Search<'a, C> {
    service: &'a ServiceName,
    known: Arc<Known<C>>,
    turn: usize,
    tried: Vec<SocketAddr>,
    error: Option<Arc<ConnectError>>,
}

/// An instance with a place, or those to wait for.
type Found<C, P> = Result<(Arc<Instance<C>>, P), Vec<Arc<Instance<C>>>>;

impl<C> Search<'_, C> {
    /// The next instance to try: one that lets us in as far as is known, else any that is left.
    pub(crate) fn next(&self) -> Result<Arc<Instance<C>>, SendError> {
        self.next_with(|_| Some(())).map(|(instance, ())| instance).map_err(|_none| self.nobody())
    }

    /// As [`next`](Self::next), of the instances that have a `place` now. One that lets us in when it has a place again
    /// comes before those that do not.
    ///
    /// # Errors
    /// The instances to wait for, all of them full.
    pub(crate) fn next_with<P>(&self, place: impl Fn(&C) -> Option<P>) -> Found<C, P> {
        let instances = &self.known.instances;
        let begin = self.turn.checked_rem(instances.len()).unwrap_or(0);
        let in_turn = instances[begin..].iter().chain(&instances[..begin]);
        let (mut away, mut full) = (None, Vec::new());
        for instance in in_turn.filter(|instance| !self.tried.contains(&instance.addr)) {
            match place(&instance.connections) {
                Some(place) if instance.away.lets_through() => return Ok((Arc::clone(instance), place)),
                Some(place) => away = away.or(Some((Arc::clone(instance), place))),
                None => full.push(Arc::clone(instance)),
            }
        }
        away.filter(|_| full.iter().all(|instance| instance.away.has_begun())).ok_or(full)
    }

    /// Until when to wait for a turn to connect to an instance, where others connect already. The last that is left is
    /// waited for as long as there is time.
    pub(crate) fn turn_by(&self, deadline: Deadline) -> Deadline {
        let is_last = self.tried.len() + 1 >= self.known.instances.len();
        if is_last { deadline } else { deadline.at_most(Dialer::patience(deadline)) }
    }

    /// Notes that there is no connection to `instance`.
    pub(crate) fn failed(&mut self, instance: &Instance<C>, error: Arc<ConnectError>) {
        let (service, addr) = (self.service, instance.addr);
        match &*error {
            ConnectError::Busy => tracing::debug!(%service, %addr, "an instance is not waited for"),
            error if instance.away.begin() => {
                tracing::warn!(%service, %addr, error = told(error), "an instance is not reached");
            }
            error => {
                tracing::debug!(%service, %addr, error = told(error), "an instance is still not reached");
            }
        }
        self.tried.push(instance.addr);
        self.error = Some(error);
    }

    /// That no instance is left.
    pub(crate) fn nobody(&self) -> SendError {
        let service = self.service.clone();
        match &self.error {
            Some(error) => SendError::Unreached { service, source: Arc::clone(error) },
            None => SendError::Nobody(service),
        }
    }
}

impl<C: Default> Instance<C> {
    fn new(addr: SocketAddr) -> Self {
        Self { addr, connections: C::default(), away: Away::default() }
    }
}

impl<C> Instance<C> {
    /// Notes that there is a connection to it.
    pub(crate) fn reached(&self) {
        self.away.end();
    }
}

/// Whether an instance is left out because it could not be connected to.
#[derive(Debug)]
struct Away {
    made: Instant,
    /// In microseconds since then; zero while it is not away.
    until: AtomicU64,
}

impl Default for Away {
    fn default() -> Self {
        Self { made: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Away {
    /// As often one request finds out whether it is back. The others need not wait for a host that says nothing.
    const PAUSE: Duration = Duration::from_secs(1);

    /// Whether a request may try the instance: always while it is not away, else one in each pause.
    fn lets_through(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let (now, next) = self.now_and_next();
        let is_due = until <= now;
        is_due && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Answers whether this is news.
    fn begin(&self) -> bool {
        let (_, next) = self.now_and_next();
        self.until.swap(next, Ordering::Relaxed) == 0
    }

    fn has_begun(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    fn end(&self) {
        if self.has_begun() {
            self.until.store(0, Ordering::Relaxed);
        }
    }

    fn now_and_next(&self) -> (u64, u64) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let elapsed = self.made.elapsed();
        (micros(elapsed), micros(elapsed + Self::PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use discovery::{Discover as _, Registration, Registry};

    use super::*;

    const SHOP: ServiceName = ServiceName::new("shop-service");

    fn register(registry: &Registry, last: u8) -> Registration {
        let at = |port| SocketAddr::from(([10, 0, 0, last], port));
        registry.register(&SHOP, Endpoint { http: at(3000), grpc: at(50051) })
    }

    fn instances(registry: &Registry) -> Instances<()> {
        Instances::new(&SHOP, registry.watch(&SHOP), |endpoint| endpoint.http)
    }

    /// The last number of the address of the next instance of a new search.
    fn next(instances: &Instances<()>) -> u8 {
        last(&instances.search().next().unwrap())
    }

    fn last<C>(instance: &Instance<C>) -> u8 {
        let SocketAddr::V4(addr) = instance.addr else { unreachable!("the tests register no other") };
        addr.ip().octets()[3]
    }

    fn refuse(instances: &Instances<()>, search: &mut Search<'_, ()>, number: u8) {
        let known = instances.known.load();
        let instance = known.instances.iter().find(|instance| last(instance) == number).unwrap();
        search.failed(instance, Arc::new(ConnectError::Slow(Duration::ZERO)));
    }

    #[tokio::test(start_paused = true)]
    async fn each_instance_has_its_turn() {
        let registry = Registry::default();
        let _registered = [1, 2, 3].map(|last| register(&registry, last));
        let instances = instances(&registry);
        let turns: Vec<u8> = (0..6).map(|_| next(&instances)).collect();
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_set_is_followed_and_instances_that_stay_keep_their_connections() {
        let registry = Registry::default();
        let instances = instances(&registry);
        assert!(matches!(instances.search().next(), Err(SendError::Nobody(service)) if service == SHOP));

        let first = register(&registry, 1);
        let kept = instances.search().next().unwrap();
        let _second = register(&registry, 2);
        let turns: Vec<u8> = (0..4).map(|_| next(&instances)).collect();
        assert_eq!(turns.iter().filter(|&&turn| turn == 2).count(), 2);
        assert!(instances.known.load().instances.iter().any(|instance| Arc::ptr_eq(instance, &kept)));

        drop(first);
        assert_eq!((next(&instances), next(&instances)), (2, 2));
        drop(registry);
        assert_eq!(next(&instances), 2, "the last set is final");
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_refuses_is_left_out_but_for_one_request_in_each_pause() {
        let registry = Registry::default();
        let _registered = [1, 2].map(|last| register(&registry, last));
        let instances = instances(&registry);
        let mut search = instances.search();
        refuse(&instances, &mut search, 1);
        assert_eq!(last(&search.next().unwrap()), 2);
        let turns: Vec<u8> = (0..4).map(|_| next(&instances)).collect();
        assert_eq!(turns, [2; 4]);

        tokio::time::advance(Away::PAUSE).await;
        let turns: Vec<u8> = (0..4).map(|_| next(&instances)).collect();
        assert_eq!(turns.iter().filter(|&&turn| turn == 1).count(), 1);

        instances.known.load().instances[0].reached();
        let turns: Vec<u8> = (0..4).map(|_| next(&instances)).collect();
        assert_eq!(turns.iter().filter(|&&turn| turn == 1).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_refuse_each_is_tried_once_and_the_last_reason_is_told() {
        let registry = Registry::default();
        let _registered = [1, 2].map(|last| register(&registry, last));
        let instances = instances(&registry);
        for _ in 0..2 {
            let mut search = instances.search();
            let mut tried = Vec::new();
            while let Ok(instance) = search.next() {
                tried.push(last(&instance));
                refuse(&instances, &mut search, last(&instance));
            }
            tried.sort_unstable();
            assert_eq!(tried, [1, 2]);
            assert!(matches!(search.next(), Err(SendError::Unreached { service, .. }) if service == SHOP));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_set_of_a_sender_that_is_gone_is_taken_in() {
        let at = |last: u8| -> SocketAddr { ([10, 0, 0, last], 50051).into() };
        let endpoints = |last| -> Endpoints { [Endpoint { http: at(last), grpc: at(last) }].into() };
        let (sender, news) = watch::channel(endpoints(1));
        let instances = Instances::new(&SHOP, news, |endpoint| endpoint.grpc);
        assert_eq!(next(&instances), 1);
        sender.send(endpoints(2)).unwrap();
        drop(sender);
        assert_eq!((next(&instances), next(&instances)), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_whose_turn_to_connect_does_not_come_is_passed_over_once_and_not_left_out() {
        let registry = Registry::default();
        let _registered = [1, 2].map(|last| register(&registry, last));
        let instances = instances(&registry);
        let mut search = instances.search();
        search.failed(&search.next().unwrap(), Arc::new(ConnectError::Busy));
        assert_eq!(last(&search.next().unwrap()), 2);
        let turns: Vec<u8> = (0..4).map(|_| next(&instances)).collect();
        assert_eq!(turns, [2, 1, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_instance_is_waited_for_before_one_that_does_not_let_us_in_is_tried() {
        let registry = Registry::default();
        let _registered = [1, 2].map(|last| register(&registry, last));
        let instances: Instances<AtomicU64> =
            Instances::new(&SHOP, registry.watch(&SHOP), |endpoint| endpoint.grpc);
        let place = |places: &AtomicU64| (places.load(Ordering::Relaxed) > 0).then_some(());
        let found = || instances.search().next_with(place).map(|(instance, ())| last(&instance));
        let full = || found().unwrap_err().iter().map(|instance| last(instance)).collect::<Vec<_>>();
        assert_eq!(full(), [1, 2]);

        let known = instances.known.load().instances.clone();
        known[1].connections.store(1, Ordering::Relaxed);
        assert_eq!((found().unwrap(), found().unwrap()), (2, 2));
        known[1].away.begin();
        assert_eq!(full(), [1]);
        known[0].away.begin();
        assert_eq!(found().unwrap(), 2);
    }
}
