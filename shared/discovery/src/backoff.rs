use std::time::Duration;

use runtime::Random;

/// The pauses between tries that fail: each twice the one before up to a bound, and drawn from its upper half, so that
/// the instances of a platform do not come back all at once, nor any of them without a pause.
pub(crate) struct Backoff {
    random: Random,
    most: Duration,
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(200);

    pub(crate) fn new(random: &Random, most: Duration) -> Self {
        Self { random: random.clone(), most, next: Self::FIRST }
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(self.most);
        half + self.random.jitter(half)
    }

    /// Starts anew after a success.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_start_anew_after_a_success() {
        let (mut backoff, most) = (Backoff::new(&Random::seeded(1), Duration::from_secs(5)), 5_000);
        for bound in [200, 400, 800, 1_600, 3_200, most, most] {
            let pause = backoff.pause().as_millis();
            assert!((bound / 2..=bound).contains(&pause), "{pause} of {bound}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Backoff::FIRST);
    }
}
