//! What goes wrong, when, and for how long: decided by the seed before the start.

mod injector;
mod links;
mod orders;
mod slow;

use std::time::Duration;

use runtime::Random;

use crate::history::Micros;
use crate::hosts::{AUTH, INSTANCES, Site, USERS, Way, inner_ways, ways};
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
    /// A machine, with all processes on it, has no power after so many writes more.
    PowerLoss {
        /// Which.
        site: Site,
        /// After how many writes; `None` for at once.
        after: Option<u32>,
    },
    /// A process is told to end in order, as by SIGTERM, and is started again.
    Restart {
        /// Which.
        instance: &'static str,
    },
    /// A disk takes no changes while the processes live on.
    Refusal {
        /// Whose.
        site: Site,
        /// How.
        refusal: Refusal,
    },
    /// A host gets to whatever comes to it only after a while, as one does that is short of time: what is asked of it is
    /// given up without any connection being lost.
    Slow {
        /// Which.
        instance: &'static str,
        /// After how long.
        delay: Duration,
    },
    /// Something about the way between two hosts.
    Link {
        /// Which.
        way: Way,
        /// What.
        trouble: Trouble,
    },
    /// The gateway is started again, and finds nobody who has the keys that tokens are checked with.
    ColdStart,
}

/// The word for a host that is slow.
pub(crate) const SLOW: &str = "slow host";

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
            Self::PowerLoss { after: None, .. } => "power loss",
            Self::PowerLoss { after: Some(_), .. } => "power loss while writing",
            Self::Restart { .. } => "orderly restart",
            Self::Refusal { refusal: Refusal::Full, .. } => "full disk",
            Self::Refusal { refusal: Refusal::Broken, .. } => "failing disk",
            Self::Slow { .. } => SLOW,
            Self::Link { trouble, .. } => trouble.kind(),
            Self::ColdStart => "start without keys",
        }
    }

    /// How much longer it lasts than others.
    const fn longer(&self) -> Micros {
        /// Only after some answers that did not come is anything held against a host.
        const TO_BE_FELT: Micros = 3_000_000;
        match self {
            Self::Slow { .. } => TO_BE_FELT,
            _ => 0,
        }
    }

    fn draw(random: &Random) -> Self {
        /// A commit is a handful of writes and a sync; most countdowns end within a few of them.
        const MOST_WRITES: u64 = 40;
        let after = (random.below(2) == 0).then(|| small(random.below(MOST_WRITES)));
        match random.below(100) {
            0..18 => {
                let instance = one_of(random, &INSTANCES);
                // The gateway writes nothing.
                Self::Kill { instance, after: after.filter(|_| Site::of(instance) != Some(Site::Gateway)) }
            }
            18..32 => {
                let site = one_of(random, &Site::ALL);
                Self::PowerLoss { site, after: after.filter(|_| site != Site::Gateway) }
            }
            32..41 => Self::Restart { instance: one_of(random, &INSTANCES) },
            41..50 => {
                let site = one_of(random, &[Site::Users, Site::Auth]);
                let refusal = if random.below(2) == 0 { Refusal::Full } else { Refusal::Broken };
                Self::Refusal { site, refusal }
            }
            50..60 => {
                // Of those that other instances call.
                let instance = one_of(random, &[AUTH, USERS].concat());
                Self::Slow { instance, delay: Duration::from_millis(300 + random.below(2_200)) }
            }
            // What the instances have of each other is worth as much as what everybody else has of them.
            60..80 => Self::Link { way: one_of(random, &inner_ways()), trouble: Trouble::draw(random) },
            _ => Self::Link { way: one_of(random, &ways()), trouble: Trouble::draw(random) },
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

/// For how long the clients work: until a key that was made at the beginning has signed for a while.
pub const WORK: Duration = Duration::from_secs(152);

/// When things go wrong. What is promised for a platform that is well can be seen between and after, once it has
/// recovered.
const STORMS: [(Duration, Duration); 2] =
    [(Duration::from_secs(1), Duration::from_secs(42)), (Duration::from_secs(66), Duration::from_secs(128))];

/// The faults of a run, in the order of their beginnings. Some overlap.
pub fn plan(random: &Random) -> Vec<Planned> {
    let mut planned = vec![cold_start(random)];
    for (begin, end) in STORMS.map(|(begin, end)| (micros(begin), micros(end))) {
        let mut at = begin + millis(random.below(2_000));
        while at < end {
            let fault = Fault::draw(random);
            let lasting = millis(200 + random.below(3_000)) + fault.longer();
            planned.push(Planned { at, lasting, fault });
            at += millis(200 + random.below(2_000));
        }
    }
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// Once per run, after there are tokens that a gateway without keys could take.
fn cold_start(random: &Random) -> Planned {
    let at = millis(10_000 + random.below(15_000));
    Planned { at, lasting: millis(3_000 + random.below(3_000)), fault: Fault::ColdStart }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a run takes minutes")
}

fn millis(count: u64) -> Micros {
    count * 1_000
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("it is drawn below a small bound")
}

fn one_of<T: Copy>(random: &Random, these: &[T]) -> T {
    let index = random.below(these.len() as u64);
    these[usize::try_from(index).expect("it is below the length")]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_decides_the_plan_and_many_seeds_plan_every_kind() {
        let planned = |seed| plan(&Random::seeded(seed));
        assert_eq!(planned(7), planned(7));
        assert_ne!(planned(7), planned(8));
        let kinds: BTreeSet<_> = (0..50).flat_map(planned).map(|planned| planned.fault.kind()).collect();
        assert_eq!(kinds.len(), 13, "{kinds:?}");
        assert!(planned(7).is_sorted_by_key(|planned| planned.at));
        let is_in_a_storm = |planned: &Planned| {
            STORMS.iter().any(|(begin, end)| (micros(*begin)..micros(*end)).contains(&planned.at))
        };
        assert!(planned(7).iter().all(is_in_a_storm));
    }
}
