//! The revocations that matter, as this replica sees them: one reader of the database, whoever watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use database::{Database, ReadError};
use runtime::{Clock, Deadline};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::Timestamp;
use uuid::Uuid;

use crate::revocation::Revocation;
use crate::store;

/// The revocations that matter. Clones are the same.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

struct Shared {
    database: Database,
    clock: Clock,
    written: Notify,
    seen: watch::Sender<Seen>,
}

/// What the reader has seen, in the order in which it came to see it.
#[derive(Debug, Default)]
struct Seen {
    by_arrival: BTreeMap<u64, Revocation>,
    ids: BTreeSet<Uuid>,
    arrived: u64,
    newest: Timestamp,
    /// Whether there was a look.
    begun: bool,
}

impl Feed {
    /// What another replica wrote is seen this much later.
    const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
    /// However often something is written, those who wait for the database have it in between.
    const PACE: Duration = Duration::from_millis(20);
    /// How far a look goes back behind what was seen: a batch is visible when it has committed, which is so much later
    /// than it was dated as a rule, and the clocks of replicas differ by less.
    const SHORT_OVERLAP: Duration = Duration::from_secs(2);
    /// … and how far, once in a while, for the exceptions: no request lasts longer, and no clock is so wrong.
    const OVERLAP: Duration = Duration::from_secs(60);
    const BETWEEN_LONG_LOOKS: Duration = Duration::from_secs(5);
    /// A page of a look.
    const PAGE: u32 = 1_000;
    /// A look that takes longer finds the database as good as away.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn new(database: &Database, clock: &Clock) -> Self {
        let (database, clock) = (database.clone(), clock.clone());
        Self(Arc::new(Shared { database, clock, written: Notify::new(), seen: watch::Sender::default() }))
    }

    /// Tells the reader that there is something new.
    pub(crate) fn written(&self) {
        self.0.written.notify_one();
    }

    /// Reads what is new until `stop`. Whoever watches hears nothing while it cannot be read.
    pub(crate) async fn keep_reading(self, stop: CancellationToken) {
        let (mut fails, mut long) = (false, None);
        let is_due = |long: Instant| long.elapsed() >= Self::BETWEEN_LONG_LOOKS;
        loop {
            let began = Instant::now();
            let is_long = long.is_none_or(is_due);
            let look = self.look(if is_long { Self::OVERLAP } else { Self::SHORT_OVERLAP });
            let Some(looked) = stop.run_until_cancelled(look).await else { return };
            match &looked {
                Err(error) if !fails => tracing::warn!(%error, "the revocations cannot be read"),
                Ok(()) if fails => tracing::info!("the revocations can be read again"),
                _ => {}
            }
            fails = looked.is_err();
            if is_long && !fails {
                long = Some(began);
            }
            if stop.run_until_cancelled(self.next_look()).await.is_none() {
                return;
            }
        }
    }

    async fn next_look(&self) {
        sleep(Self::PACE).await;
        // Either way there may be something to see.
        drop(timeout(Self::BETWEEN_LOOKS, self.0.written.notified()).await);
    }

    async fn look(&self, overlap: Duration) -> Result<(), ReadError> {
        let (now, deadline) = (self.0.clock.now(), Deadline::within(Self::PATIENCE));
        let mut after = (self.0.seen.borrow().newest.before(overlap), Uuid::nil());
        let mut found = Vec::new();
        loop {
            let page = store::recorded_since(&self.0.database, after, now, Self::PAGE, deadline).await?;
            let last = page.last().map(|last| (last.recorded_at, last.id));
            found.extend(page);
            match last {
                Some(last) if found.len() % Self::PAGE as usize == 0 => after = last,
                _ => break,
            }
        }
        self.0.seen.send_modify(|seen| seen.take(found, now));
        Ok(())
    }

    /// Watches what was recorded since `since` and what comes. A `since` that is still to come hides nothing.
    pub(crate) fn watch(&self, since: Timestamp) -> Watch {
        let (seen, clock) = (self.0.seen.subscribe(), self.0.clock.clone());
        let since = since.min(clock.now());
        Watch { seen, clock, next: 0, since: since.before(Self::OVERLAP), cursor: since, spoke: None }
    }
}

impl Seen {
    /// More than a platform revokes in the time that one matters. Beyond that the oldest are dropped, whose tokens have
    /// the least time left.
    const MOST: usize = 200_000;

    fn take(&mut self, found: Vec<Revocation>, now: Timestamp) {
        self.by_arrival.retain(|_, revocation| revocation.until > now);
        for revocation in found {
            // A clock that is ahead must not hide what others write.
            self.newest = self.newest.max(revocation.recorded_at.min(now));
            if self.ids.insert(revocation.id) {
                self.by_arrival.insert(self.arrived, revocation);
                self.arrived += 1;
            }
        }
        let surplus = self.by_arrival.len().saturating_sub(Self::MOST);
        if surplus > 0 {
            tracing::error!(
                surplus,
                "more revocations than can be kept: access tokens are good that must not be"
            );
            while self.by_arrival.len() > Self::MOST {
                self.by_arrival.pop_first();
            }
        }
        self.begun = true;
        if self.ids.len() > self.by_arrival.len() {
            self.ids = self.by_arrival.values().map(|revocation| revocation.id).collect();
        }
    }
}

/// Somebody who is told of every revocation once.
pub(crate) struct Watch {
    seen: watch::Receiver<Seen>,
    clock: Clock,
    next: u64,
    since: Timestamp,
    cursor: Timestamp,
    spoke: Option<Instant>,
}

/// What is told at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The revocations; none where nothing happens.
    pub(crate) revocations: Vec<Revocation>,
    /// From where on to watch after this.
    pub(crate) cursor: Timestamp,
}

impl Watch {
    /// Whoever hears nothing for a few of these knows that the revocations are not up to date.
    const LONGEST_SILENCE: Duration = Duration::from_secs(1);
    /// About 100 KB.
    const MOST: usize = 1_000;

    /// What is new, or nothing after a silence. It is pending while the revocations cannot be read.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            let (revocations, begun) = self.take();
            let silent = self.spoke.is_some_and(|spoke| spoke.elapsed() < Self::LONGEST_SILENCE);
            if !revocations.is_empty() || (begun && !silent) {
                self.spoke = Some(Instant::now());
                let newest = revocations.iter().map(|revocation| revocation.recorded_at).max();
                // What a clock that is ahead recorded must not hide what others do until then.
                self.cursor = self.cursor.max(newest.unwrap_or_default().min(self.clock.now()));
                return Told { revocations, cursor: self.cursor };
            }
            if self.seen.changed().await.is_err() {
                // The reader lives as long as the service.
                std::future::pending::<()>().await;
            }
        }
    }

    fn take(&mut self) -> (Vec<Revocation>, bool) {
        let (seen, now) = (self.seen.borrow_and_update(), self.clock.now());
        let mut taken = Vec::new();
        for (arrival, revocation) in seen.by_arrival.range(self.next..) {
            if taken.len() == Self::MOST {
                break;
            }
            self.next = arrival + 1;
            if revocation.recorded_at >= self.since && revocation.until > now {
                taken.push(revocation.clone());
            }
        }
        (taken, seen.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::Subject;
    use crate::store::Ending;
    use crate::store::fixture::{ADA, World};

    const START: Timestamp = Timestamp::from_micros(1_785_000_000_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    impl World {
        fn feed(&self) -> Feed {
            Feed::new(&self.database, &Clock::reading(|| START))
        }
    }

    /// What is told next, soon.
    async fn next(watch: &mut Watch) -> Told {
        timeout(SECOND * 10, watch.next()).await.expect("something is told")
    }

    fn ids(told: &Told) -> Vec<u128> {
        told.revocations.iter().map(|revocation| revocation.id.as_u128()).collect()
    }

    #[tokio::test]
    async fn each_revocation_is_told_once_however_often_it_is_seen() {
        World::on_sqlite(async |world| {
            let (feed, mut watch) = (world.feed(), world.feed().watch(Timestamp::default()));
            watch.seen = feed.0.seen.subscribe();
            world.revoke(1, START).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            let told = next(&mut watch).await;
            assert_eq!((ids(&told), told.cursor), (vec![1], START));
            assert_eq!(told.revocations[0].subject, Subject::User(ADA, 2));
            for _ in 0..2 {
                feed.look(Feed::OVERLAP).await.unwrap();
            }
            assert_eq!(watch.take().0, []);
            assert_eq!(ids(&next(&mut feed.watch(Timestamp::default())).await), [1]);
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_dated_before_what_was_seen_is_told_too() {
        World::on_sqlite(async |world| {
            let feed = world.feed();
            world.revoke(1, START).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            let mut watch = feed.watch(Timestamp::default());
            let cursor = next(&mut watch).await.cursor;
            world.revoke(2, START.before(SECOND * 59)).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            assert_eq!(ids(&next(&mut watch).await), [2]);
            assert_eq!(ids(&next(&mut feed.watch(cursor)).await), [1, 2], "a reconnect reaches as far back");
        })
        .await;
    }

    #[tokio::test]
    async fn the_clock_of_one_that_is_ahead_hides_nothing_of_the_others() {
        World::on_sqlite(async |world| {
            let (feed, hour) = (world.feed(), SECOND * 3_600);
            let mut watch = feed.watch(Timestamp::default());
            for (id, at) in [(1, START.after(hour)), (2, START)] {
                world.revoke(id, at).await;
                feed.look(Feed::SHORT_OVERLAP).await.unwrap();
                assert_eq!(ids(&next(&mut watch).await), [id]);
            }
        })
        .await;
    }

    #[tokio::test]
    async fn whoever_comes_back_after_one_from_a_clock_that_is_ahead_misses_nothing_of_the_others() {
        World::on_sqlite(async |world| {
            let (feed, ahead) = (world.feed(), START.after(SECOND * 3_600));
            world.revoke(1, ahead).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            assert_eq!(next(&mut feed.watch(Timestamp::default())).await.cursor, START);
            world.revoke(2, START).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            for since in [START, ahead] {
                let told = next(&mut feed.watch(since)).await;
                assert_eq!((ids(&told), told.cursor), (vec![1, 2], START), "{since}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn whoever_comes_back_is_told_what_is_new_and_not_all_of_it() {
        World::on_sqlite(async |world| {
            let feed = world.feed();
            for (id, before) in [(1, SECOND * 300), (2, SECOND * 30), (3, Duration::ZERO)] {
                world.revoke(id, START.before(before)).await;
            }
            feed.look(Feed::OVERLAP).await.unwrap();
            assert_eq!(ids(&next(&mut feed.watch(Timestamp::default())).await), [1, 2, 3]);
            assert_eq!(ids(&next(&mut feed.watch(START)).await), [2, 3]);
        })
        .await;
    }

    #[tokio::test]
    async fn what_matters_no_more_is_forgotten() {
        World::on_sqlite(async |world| {
            let feed = world.feed();
            world.revoke(1, START).await;
            feed.look(Feed::OVERLAP).await.unwrap();
            let until = Ending::at(START).until;
            feed.0.seen.send_modify(|seen| seen.take(Vec::new(), until));
            assert_eq!((feed.0.seen.borrow().by_arrival.len(), feed.0.seen.borrow().ids.len()), (0, 0));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_while_the_revocations_are_up_to_date_and_no_longer() {
        let seen = watch::Sender::new(Seen::default());
        let (since, cursor) = (Timestamp::default(), START);
        let clock = Clock::reading(|| START);
        let mut watch = Watch { seen: seen.subscribe(), clock, next: 0, since, cursor, spoke: None };
        let mut told = async |patience| timeout(patience, watch.next()).await.ok();
        let silence = Some(Told { revocations: Vec::new(), cursor: START });
        assert_eq!(told(SECOND * 10).await, None, "nothing was read yet");
        let look = || seen.send_modify(|seen| seen.take(Vec::new(), START));
        look();
        assert_eq!(told(Duration::ZERO).await, silence);
        tokio::time::advance(SECOND / 2).await;
        look();
        assert_eq!(told(Duration::ZERO).await, None);
        tokio::time::advance(SECOND / 2).await;
        look();
        assert_eq!(told(Duration::ZERO).await, silence);
        assert_eq!(told(SECOND * 10).await, None, "nothing was read since");
    }

    #[test]
    fn the_set_is_bounded_and_what_has_the_least_time_left_goes_first() {
        let mut seen = Seen::default();
        let revocation = |number: usize| Revocation {
            id: Uuid::from_u128(number as u128),
            recorded_at: START,
            subject: Subject::User(ADA, 2),
            until: START.after(SECOND),
        };
        seen.take((0..Seen::MOST + 2).map(revocation).collect(), START);
        assert_eq!((seen.by_arrival.len(), seen.ids.len()), (Seen::MOST, Seen::MOST));
        assert_eq!(seen.by_arrival.first_key_value().map(|(arrival, _)| *arrival), Some(2));
    }
}
