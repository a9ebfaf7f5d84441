//! What is learnt of services from outside: one watch for each, however many look at it, which ends when nobody does.

mod left_out;
mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::Tasks;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use self::left_out::LeftOut;
pub(crate) use self::left_out::Wrong;
use self::missing::Missing;
use crate::contact::Contact;
use crate::{Endpoint, Endpoints, Standing};

/// The services that somebody watches.
#[derive(Clone)]
pub(crate) struct Watches(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    closing: CancellationToken,
    /// As many as the code names.
    watched: Mutex<BTreeMap<ServiceName, Arc<Watched>>>,
}

/// A service that is watched: what is told of it, and how far that may be relied on.
pub(crate) struct Watched {
    service: ServiceName,
    told: watch::Sender<Endpoints>,
    learnt: Mutex<Learnt>,
}

#[derive(Default)]
struct Learnt {
    contact: Contact,
    missing: Missing,
    left_out: LeftOut,
    /// Whether it has been told that some are kept.
    keeps: bool,
}

impl Watches {
    pub(crate) fn new(tasks: &Tasks) -> Self {
        let (closing, watched) = (CancellationToken::new(), Mutex::default());
        Self(Arc::new(Inner { tasks: tasks.clone(), closing, watched }))
    }

    /// The instances of `service`. What learns them is `work`, which never ends by itself; it is started for the first
    /// who watches.
    pub(crate) fn watch<F>(
        &self,
        service: &ServiceName,
        work: impl FnOnce(Arc<Watched>) -> F,
    ) -> watch::Receiver<Endpoints>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut all = self.0.all();
        if let Some(watched) = all.get(service) {
            return watched.told.subscribe();
        }
        let watched = Arc::new(Watched::new(service));
        let receiver = watched.told.subscribe();
        all.insert(service.clone(), Arc::clone(&watched));
        let (inner, work) = (Arc::clone(&self.0), work(Arc::clone(&watched)));
        self.0.tasks.spawn("discovery-watch", async move {
            tokio::select! {
                () = work => {}
                () = inner.unwatched(&watched) => {}
                () = inner.closing.cancelled() => {
                    inner.all().remove(&watched.service);
                }
            }
        });
        receiver
    }

    /// Ends all watches. What has been told is final.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    /// The worst of all that is watched.
    pub(crate) fn standing(&self) -> Standing {
        let best = Standing::Current { age: Duration::ZERO };
        self.0.all().values().map(|watched| watched.standing()).fold(best, Standing::and)
    }
}

impl Inner {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes back when nobody watches, after which nobody can.
    async fn unwatched(&self, watched: &Watched) {
        loop {
            watched.told.closed().await;
            let mut all = self.all();
            // Somebody may have come between the two.
            if watched.told.receiver_count() == 0 {
                all.remove(&watched.service);
                return;
            }
        }
    }
}

impl Watched {
    fn new(service: &ServiceName) -> Self {
        let told = watch::Sender::new(Endpoints::default());
        Self { service: service.clone(), told, learnt: Mutex::default() }
    }

    pub(crate) fn service(&self) -> &ServiceName {
        &self.service
    }

    /// An answer: these are the instances now. It is told at once; who is left out of it stays for a while where the
    /// answer may be of a registry that has forgotten some, or where it is that there is nobody any more.
    pub(crate) fn learn(&self, mut found: BTreeSet<Endpoint>) {
        let mut learnt = self.learnt();
        if let Some(trouble) = learnt.contact.answered() {
            tracing::info!(service = %self.service, after = trouble, "discovery answers again");
        }
        let kept = learnt.missing.kept(&self.told.borrow(), &found, Instant::now());
        let kept_some = std::mem::replace(&mut learnt.keeps, !kept.is_empty());
        if learnt.keeps && !kept_some {
            tracing::warn!(
                service = %self.service, found = found.len(), missing = kept.len(),
                "discovery has lost instances, which are kept for a while"
            );
        }
        found.extend(kept);
        self.tell(found);
    }

    /// The same where some may be wrong, who are left out.
    pub(crate) fn learn_of(&self, told: impl IntoIterator<Item = Result<Endpoint, Wrong>>) {
        let found = self.learnt().left_out.of(&self.service, told);
        self.learn(found);
    }

    /// What answers next may have forgotten everybody.
    pub(crate) fn doubt(&self) {
        self.learnt().missing.doubt();
    }

    /// There was no good answer. What comes back from that may have forgotten everybody.
    pub(crate) fn fail(&self, why: &str) {
        let mut learnt = self.learnt();
        learnt.missing.doubt();
        if learnt.contact.failed(why) {
            tracing::warn!(service = %self.service, why, "discovery gives no good answer; the last set is kept");
        }
    }

    fn tell(&self, found: BTreeSet<Endpoint>) {
        self.told.send_if_modified(|told| {
            let is_news = !told.iter().eq(found.iter());
            if is_news {
                tracing::info!(service = %self.service, instances = found.len(), "the instances have changed");
                *told = found.into_iter().collect();
            }
            is_news
        });
    }

    fn standing(&self) -> Standing {
        self.learnt().contact.standing(&self.service)
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.all();
        f.debug_map()
            .entries(all.iter().map(|(name, watched)| (name, watched.told.borrow().clone())))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use runtime::{Clock, Env, Net, Random};
    use tokio::time::advance;

    use super::*;

    const SHOP: ServiceName = ServiceName::new("shop-service");

    fn tasks() -> Tasks {
        let clock = Clock::from_tokio(types::Timestamp::from_micros(0));
        Env::simulated(clock, Random::seeded(1), Net::system()).tasks
    }

    fn set(last: impl IntoIterator<Item = u8>) -> BTreeSet<Endpoint> {
        let at = |last, port| ([10, 0, 0, last], port).into();
        last.into_iter().map(|last| Endpoint { http: at(last, 3000), grpc: at(last, 50051) }).collect()
    }

    /// A watch that is told by hand.
    fn by_hand(watches: &Watches) -> (Arc<Watched>, watch::Receiver<Endpoints>) {
        let mut kept = None;
        let receiver = watches.watch(&SHOP, |watched| {
            kept = Some(watched);
            pending()
        });
        (kept.expect("it is the first"), receiver)
    }

    fn last(receiver: &watch::Receiver<Endpoints>) -> Vec<u8> {
        let last = |endpoint: &Endpoint| match endpoint.http.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        receiver.borrow().iter().map(last).collect()
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn instances_that_leave_are_followed_at_once_but_not_the_last_of_them() {
        let (shop, receiver) = by_hand(&Watches::new(&tasks()));
        shop.learn(set([1, 2]));
        shop.learn(set([2]));
        assert_eq!(last(&receiver), [2]);
        shop.learn(set([]));
        advance(Missing::NOBODY_BELIEVED_AFTER - seconds(1)).await;
        shop.learn(set([]));
        assert_eq!(last(&receiver), [2], "it is not believed yet");
        advance(seconds(1)).await;
        shop.learn(set([]));
        assert!(last(&receiver).is_empty());
        shop.learn(set([3]));
        assert_eq!(last(&receiver), [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_has_forgotten_all_and_learns_of_them_one_by_one_takes_nobody_away() {
        let forgets: [fn(&Watched); 3] =
            [|shop| shop.fail("it restarts"), Watched::doubt, |shop| shop.learn(set([]))];
        for forget in forgets {
            let (shop, receiver) = by_hand(&Watches::new(&tasks()));
            shop.learn(set([1, 2, 3]));
            forget(&shop);
            for found in [vec![], vec![2], vec![2, 4], vec![2, 3, 4]] {
                shop.learn(set(found));
                assert!(last(&receiver).starts_with(&[1, 2, 3]), "{receiver:?}");
                advance(seconds(3)).await;
            }
            advance(seconds(3)).await;
            shop.learn(set([2, 3, 4]));
            assert_eq!(last(&receiver), [2, 3, 4], "who has not come back by then is gone");
            shop.learn(set([3, 4]));
            assert_eq!(last(&receiver), [3, 4]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_time_anew_in_which_nobody_is_not_believed() {
        let (shop, receiver) = by_hand(&Watches::new(&tasks()));
        shop.learn(set([1]));
        shop.learn(set([]));
        advance(Missing::NOBODY_BELIEVED_AFTER).await;
        shop.fail("it restarts");
        shop.learn(set([]));
        assert_eq!(last(&receiver), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_is_gone_goes_although_discovery_fails_every_other_time() {
        let (shop, receiver) = by_hand(&Watches::new(&tasks()));
        shop.learn(set([1, 2]));
        for _ in 0..=Missing::LONGEST.as_secs() / 10 {
            shop.fail("it is slow");
            shop.learn(set([1]));
            advance(seconds(10)).await;
        }
        assert_eq!(last(&receiver), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_shared_and_ends_when_nobody_looks() {
        let (tasks, mut started) = (tasks(), 0);
        let watches = Watches::new(&tasks);
        let mut watch = || {
            watches.watch(&SHOP, |_| {
                started += 1;
                pending()
            })
        };
        let (one, other) = (watch(), watch());
        drop(one);
        tokio::task::yield_now().await;
        assert_eq!(tasks.running(), [("discovery-watch", 1)]);
        drop(other);
        assert_eq!(tasks.join(Duration::from_secs(1)).await, Ok(()));
        drop(watch());
        assert_eq!(started, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_closed_ends_and_has_told_its_last_set() {
        let tasks = tasks();
        let watches = Watches::new(&tasks);
        let (shop, receiver) = by_hand(&watches);
        shop.learn(set([1]));
        drop(shop);
        watches.close();
        assert_eq!(tasks.join(Duration::from_secs(1)).await, Ok(()));
        assert_eq!(receiver.borrow().len(), 1);
        assert!(receiver.has_changed().is_err(), "the set is final");
    }

    #[tokio::test(start_paused = true)]
    async fn the_standing_is_that_of_the_worst_watch() {
        let watches = Watches::new(&tasks());
        let second = Duration::from_secs(1);
        assert_eq!(watches.standing(), Standing::Current { age: Duration::ZERO });
        let (shop, _receiver) = by_hand(&watches);
        let why = |text: &str| text.to_owned();
        assert_eq!(watches.standing(), Standing::Unknown { why: why("shop-service: not answered yet") });
        shop.fail("refused");
        assert_eq!(watches.standing(), Standing::Unknown { why: why("shop-service: refused") });
        shop.learn(set([1]));
        advance(second).await;
        assert_eq!(watches.standing(), Standing::Current { age: second });
        shop.fail("refused");
        advance(second).await;
        assert_eq!(watches.standing(), Standing::Stale { age: 2 * second, why: why("refused") });
    }
}
