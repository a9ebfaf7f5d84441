use std::time::Duration;

use runtime::Random;

use crate::RetryAfter;

/// How long to wait before a retry: a random time below a bound that doubles ("full jitter" of AWS, "Exponential backoff
/// and jitter"), so that those who failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound before the first retry.
    pub first: Duration,
    /// The bound that it does not grow beyond.
    pub longest: Duration,
}

impl Backoff {
    /// Before retry number `attempt`, counted from zero.
    pub fn pause(&self, attempt: u32, random: &Random) -> Duration {
        random.jitter(self.bound(attempt))
    }

    /// The same where the callee said when it wants to be asked again, which is never sooner.
    pub fn pause_after(&self, told: RetryAfter, attempt: u32, random: &Random) -> Duration {
        told.0.saturating_add(self.pause(attempt, random))
    }

    fn bound(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let bounds = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|attempt| BACKOFF.bound(attempt).as_millis());
        assert_eq!(bounds, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn pauses_are_spread_from_zero_to_the_bound() {
        let random = Random::seeded(1);
        for (attempt, bound) in [(0, 100), (3, 800), (9, 1_000)] {
            let pauses: Vec<_> = (0..1_000).map(|_| BACKOFF.pause(attempt, &random).as_millis()).collect();
            for tenth in 0..10 {
                let parts = bound * tenth / 10..bound * (tenth + 1) / 10;
                let within = pauses.iter().filter(|pause| parts.contains(*pause)).count();
                assert!((50..150).contains(&within), "{within} pauses in {parts:?}");
            }
            assert!(pauses.iter().all(|pause| *pause < bound));
        }
    }

    #[test]
    fn what_the_callee_said_is_never_undercut_and_is_spread_too() {
        let (random, told) = (Random::seeded(1), RetryAfter(Duration::from_secs(5)));
        let pauses: Vec<_> = (0..100).map(|_| BACKOFF.pause_after(told, 0, &random)).collect();
        assert!(pauses.iter().all(|pause| (told.0..told.0 + BACKOFF.first).contains(pause)));
        assert!(pauses.iter().max() > pauses.iter().min());
    }
}
