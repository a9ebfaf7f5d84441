use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What an instance costs whoever sends to it: how long it takes to begin an answer, as a moving average that rises at
/// once and falls slowly (peak EWMA, of Finagle), times the requests that are under way.
///
/// Two numbers that belong together are written one after the other. Where two answers come at the same moment, one of
/// them may be lost, which a moving average does not mind.
#[derive(Debug)]
pub(super) struct Load {
    made: Instant,
    under_way: AtomicU32,
    /// In nanoseconds.
    average: AtomicU64,
    /// When that was, in nanoseconds since this was made.
    at: AtomicU64,
    /// From when on it is warm, in nanoseconds since this was made.
    warm_since: AtomicU64,
}

impl Load {
    /// What happened so long ago counts a third: some seconds of slowness are remembered, and not for minutes.
    const MEMORY: Duration = Duration::from_secs(5);
    /// Nothing is answered sooner. It has instances without an answer so far compared by what is under way.
    const LEAST: f64 = 50_000.0;
    /// As long an instance that is new, or has begun anew, is sent less than the others, more and more: its caches and pools are empty.
    const WARM_UP: Duration = Duration::from_secs(10);
    /// What is answered by a refusal is no quicker for it: without this, whoever refuses all would be sent all.
    const REFUSED: Duration = Duration::from_millis(250);

    /// Of an instance that is taken to be like its siblings, which take `average` nanoseconds. Where it has none, it is
    /// no newer than anybody else, and warm.
    pub(super) fn new(average: Option<u64>) -> Self {
        let made = Instant::now();
        let warm_since = AtomicU64::new(if average.is_some() { Self::WARM_UP.as_nanos() as u64 } else { 0 });
        let average = AtomicU64::new(average.unwrap_or(0));
        Self { made, under_way: AtomicU32::new(0), average, at: AtomicU64::new(0), warm_since }
    }

    pub(super) fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The average in nanoseconds, as it was with the last answer.
    pub(super) fn average(&self) -> u64 {
        self.average.load(Ordering::Relaxed)
    }

    /// An answer has begun after `took`.
    pub(super) fn answered(&self, took: Duration, now: Instant) {
        let (sample, share) = (nanos(took), self.share(now));
        let moved = self.average() as f64 * share + sample * (1.0 - share);
        self.write(moved.max(sample), now);
    }

    /// It was refused, or there was no answer within `took`.
    pub(super) fn failed(&self, took: Duration) {
        self.answered(took.max(Self::REFUSED), Instant::now());
    }

    /// It is there again and answers after `took`; how it was before says nothing any more.
    pub(super) fn recovered(&self, took: Duration) {
        self.write(nanos(took), Instant::now());
    }

    /// It is a new process, with nothing in its caches.
    pub(super) fn begun_anew(&self) {
        let warm_since = self.made.elapsed() + Self::WARM_UP;
        self.warm_since.store(warm_since.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What one more request would cost.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        self.faded(now).max(Self::LEAST) * f64::from(self.under_way() + 1) * self.chill(now)
    }

    /// From ten while the instance is new down to one.
    fn chill(&self, now: Instant) -> f64 {
        let warm_since = Duration::from_nanos(self.warm_since.load(Ordering::Relaxed));
        let left = warm_since.saturating_sub(now.saturating_duration_since(self.made));
        if left.is_zero() { 1.0 } else { 1.0 + 9.0 * left.as_secs_f64() / Self::WARM_UP.as_secs_f64() }
    }

    /// The average as far as it still counts.
    fn faded(&self, now: Instant) -> f64 {
        let average = self.average() as f64;
        if average <= Self::LEAST { average } else { average * self.share(now) }
    }

    /// How much of the average counts still.
    fn share(&self, now: Instant) -> f64 {
        let at = Duration::from_nanos(self.at.load(Ordering::Relaxed));
        let since = now.saturating_duration_since(self.made).saturating_sub(at);
        if since.is_zero() { 1.0 } else { (-since.as_secs_f64() / Self::MEMORY.as_secs_f64()).exp() }
    }

    fn write(&self, average: f64, now: Instant) {
        self.average.store(average as u64, Ordering::Relaxed);
        self.at.store(now.saturating_duration_since(self.made).as_nanos() as u64, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn answering(after: Duration) -> Load {
        let load = Load::new(None);
        load.answered(after, Instant::now());
        load
    }

    fn cost(load: &Load) -> Duration {
        Duration::from_nanos(load.cost(Instant::now()) as u64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
        let load = answering(MILLI);
        load.answered(100 * MILLI, Instant::now());
        assert_eq!(cost(&load), 100 * MILLI);
        load.answered(MILLI, Instant::now());
        assert_eq!(cost(&load), 100 * MILLI, "one quick answer at the same moment takes nothing back");
        for _ in 0..20 {
            tokio::time::advance(Load::MEMORY / 10).await;
            load.answered(MILLI, Instant::now());
        }
        assert!((10 * MILLI..20 * MILLI).contains(&cost(&load)), "{:?}", cost(&load));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_becomes_cheap_again_so_that_it_is_tried() {
        let load = answering(Duration::from_secs(1));
        tokio::time::advance(Load::MEMORY * 8).await;
        assert!(cost(&load) < MILLI, "{:?}", cost(&load));
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_under_way_makes_the_next_dearer() {
        let load = answering(MILLI);
        load.begin();
        load.begin();
        assert_eq!(cost(&load), 3 * MILLI);
        load.end();
        assert_eq!(cost(&load), 2 * MILLI);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_refuses_is_not_taken_for_quick() {
        let load = answering(10 * MILLI);
        load.failed(Duration::ZERO);
        assert_eq!(cost(&load), Load::REFUSED);
        load.recovered(MILLI);
        assert_eq!(cost(&load), MILLI);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_one_among_others_is_warmed_up() {
        let (old, new) = (answering(MILLI), Load::new(Some(1_000_000)));
        assert_eq!(cost(&new), 10 * cost(&old));
        tokio::time::advance(Load::WARM_UP).await;
        for load in [&old, &new] {
            load.recovered(MILLI);
        }
        assert_eq!(cost(&new), cost(&old));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_begun_anew_is_warmed_up_again() {
        let load = answering(MILLI);
        tokio::time::advance(Load::WARM_UP).await;
        load.begun_anew();
        load.recovered(MILLI);
        assert_eq!(cost(&load), 10 * MILLI);
        tokio::time::advance(Load::WARM_UP).await;
        load.recovered(MILLI);
        assert_eq!(cost(&load), MILLI);
    }
}
