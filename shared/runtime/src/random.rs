use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Randomness: fit for keys and tokens when it is the system's, replayable when it is seeded.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    // One stream for the whole simulation, so that a seed decides every draw in the order of the draws.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The operating system's randomness, through a generator that is cryptographically secure.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same draws for the same seed. Never for a key that guards anything.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.with(|rng| rng.fill_bytes(bytes));
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number from 0 to `bound - 1`; 0 where `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.with(|rng| if bound == 0 { 0 } else { rng.random_range(0..bound) })
    }

    /// A pause between zero and `most`, for spreading retries ("full jitter").
    pub fn jitter(&self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut dyn Rng) -> T) -> T {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
            Source::System => draw(&mut rand::rng()),
            Source::Seeded(rng) => draw(&mut *rng.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Random(system)",
            Source::Seeded(_) => "Random(seeded)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_draws_and_another_seed_others() {
        let draws = |seed| {
            let random = Random::seeded(seed);
            (random.bytes::<16>(), random.below(1_000_000), random.jitter(Duration::from_secs(1)))
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn a_draw_stays_below_its_bound() {
        let random = Random::system();
        assert!((0..1_000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.jitter(Duration::ZERO), Duration::ZERO);
    }
}
