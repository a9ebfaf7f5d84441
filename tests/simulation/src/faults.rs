//! What goes wrong, when, and for how long: decided by the seed before the start.

mod injector;
mod links;
mod orders;

use std::time::Duration;

use runtime::Random;

use crate::history::Micros;
use crate::hosts::{CLIENTS, INSTANCES};
use crate::storage::Refusal;

pub use injector::Injector;
pub use orders::Orders;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process ends as by `kill -9`: between two requests, or at a write of its own after so many others.
    Kill {
        /// Which.
        instance: &'static str,
        /// After how many writes; `None` for at once.
        after: Option<u32>,
    },
    /// The host of the database, with all processes on it, has no power after so many writes more.
    PowerLoss {
        /// After how many writes; `None` for at once.
        after: Option<u32>,
    },
    /// A process is told to end in order, as by SIGTERM, and is started again.
    Restart {
        /// Which.
        instance: &'static str,
    },
    /// The disk takes no changes while the processes live on.
    Refusal(Refusal),
    /// Something about the way between a client and an instance.
    Link {
        /// Which client.
        client: &'static str,
        /// Which instance.
        instance: &'static str,
        /// What.
        trouble: Trouble,
    },
}

/// What a network does to those who rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing gets through.
    Cut,
    /// No request gets through.
    CutRequests,
    /// No answer gets through.
    CutAnswers,
    /// Everything waits, and arrives in the end.
    Held,
    /// Everything takes up to this long.
    Slow(Duration),
}

impl Fault {
    /// The word under which it is counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kill { after: None, .. } => "kill",
            Self::Kill { after: Some(_), .. } => "kill while writing",
            Self::PowerLoss { after: None } => "power loss",
            Self::PowerLoss { after: Some(_) } => "power loss while writing",
            Self::Restart { .. } => "orderly restart",
            Self::Refusal(Refusal::Full) => "full disk",
            Self::Refusal(Refusal::Broken) => "failing disk",
            Self::Link { trouble, .. } => trouble.kind(),
        }
    }

    fn draw(random: &Random) -> Self {
        /// A commit is a handful of writes and a sync; most countdowns end within a few of them.
        const MOST_WRITES: u64 = 40;
        let after = (random.below(2) == 0).then(|| small(random.below(MOST_WRITES)));
        match random.below(100) {
            0..20 => Self::Kill { instance: one_of(random, &INSTANCES), after },
            20..36 => Self::PowerLoss { after },
            36..46 => Self::Restart { instance: one_of(random, &INSTANCES) },
            46..56 => Self::Refusal(if random.below(2) == 0 { Refusal::Full } else { Refusal::Broken }),
            _ => {
                let (client, instance) = (one_of(random, &CLIENTS), one_of(random, &INSTANCES));
                Self::Link { client, instance, trouble: Trouble::draw(random) }
            }
        }
    }
}

impl Trouble {
    const fn kind(self) -> &'static str {
        match self {
            Self::Cut => "partition",
            Self::CutRequests | Self::CutAnswers => "one-way partition",
            Self::Held => "hold",
            Self::Slow(_) => "latency",
        }
    }

    fn draw(random: &Random) -> Self {
        match random.below(5) {
            0 => Self::Cut,
            1 => Self::CutRequests,
            2 => Self::CutAnswers,
            3 => Self::Held,
            _ => Self::Slow(Duration::from_millis(100 + random.below(900))),
        }
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it begins.
    pub at: Micros,
    /// How long it lasts.
    pub lasting: Micros,
    /// What it is.
    pub fault: Fault,
}

/// The faults of a run of `length`, in the order of their beginnings. Some overlap.
pub fn plan(random: &Random, length: Duration) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut at = millis(1_000 + random.below(2_000));
    while u128::from(at) < length.as_micros() {
        let lasting = millis(200 + random.below(3_000));
        planned.push(Planned { at, lasting, fault: Fault::draw(random) });
        at += millis(200 + random.below(3_000));
    }
    planned
}

fn millis(count: u64) -> Micros {
    count * 1_000
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("it is drawn below a small bound")
}

fn one_of(random: &Random, names: &[&'static str]) -> &'static str {
    let index = random.below(names.len() as u64);
    names[usize::try_from(index).expect("it is below the length")]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_decides_the_plan_and_many_seeds_plan_every_kind() {
        let length = Duration::from_secs(60);
        let planned = |seed| plan(&Random::seeded(seed), length);
        assert_eq!(planned(7), planned(7));
        assert_ne!(planned(7), planned(8));
        let kinds: BTreeSet<_> = (0..50).flat_map(planned).map(|planned| planned.fault.kind()).collect();
        assert_eq!(kinds.len(), 11, "{kinds:?}");
        assert!(planned(7).is_sorted_by_key(|planned| planned.at));
        assert!(planned(7).iter().all(|planned| u128::from(planned.at) < length.as_micros()));
    }
}
