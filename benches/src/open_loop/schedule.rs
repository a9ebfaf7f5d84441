use std::time::Duration;

use runtime::Random;

/// When requests begin that know nothing of each other: the moments of a Poisson process, the same for the same seed.
pub(crate) struct Schedule {
    random: Random,
    per_second: f64,
    last: Duration,
    span: Duration,
}

/// What a draw is a part of: as fine as an `f64` can tell.
const PARTS: u64 = 1 << 53;

impl Schedule {
    pub(crate) fn new(seed: u64, per_second: f64, span: Duration) -> Self {
        Self { random: Random::seeded(seed), per_second, last: Duration::ZERO, span }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Above 0 and up to 1, so that its logarithm is a number.
        let drawn = (self.random.below(PARTS) + 1) as f64 / PARTS as f64;
        self.last += Duration::from_secs_f64(-drawn.ln() / self.per_second);
        (self.last < self.span).then_some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(100);

    #[test]
    fn requests_begin_as_often_as_they_are_to_and_as_irregularly_as_those_of_strangers() {
        let moments: Vec<Duration> = Schedule::new(7, 100.0, SPAN).collect();
        assert!(moments.is_sorted() && moments.iter().all(|&at| at < SPAN));
        // Four standard deviations of a Poisson number of 10,000.
        assert!((9_600..10_400).contains(&moments.len()), "{}", moments.len());
        let per_second = (0..100).map(|nth| moments.iter().filter(|at| at.as_secs() == nth).count());
        let (few, many) = (per_second.clone().min().unwrap(), per_second.max().unwrap());
        assert!(few < 90 && many > 110, "{few} to {many}");
    }

    #[test]
    fn the_same_seed_gives_the_same_moments() {
        let moments = |seed| Schedule::new(seed, 50.0, SPAN).collect::<Vec<_>>();
        assert_eq!(moments(1), moments(1));
        assert_ne!(moments(1), moments(2));
    }
}
