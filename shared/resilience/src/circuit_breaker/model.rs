use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::Percent;

const CONFIG: BreakerConfig = BreakerConfig {
    failures_in_a_row: std::num::NonZeroU32::new(3).unwrap(),
    window: Duration::from_secs(1),
    least_calls: 6,
    failure_rate: Percent::new(50),
    pause: Duration::from_millis(250),
};
/// In milliseconds, as all times of the plain form.
const PAUSE: u64 = 250;
/// A tenth of the window.
const SLOT: u64 = 100;

/// The plain form: everything that happened since the last change of state, which a result is of or is not.
#[derive(Debug, Default)]
struct Plain {
    now: u64,
    generation: u32,
    state: PlainState,
    results: Vec<(u64, Verdict)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PlainState {
    #[default]
    Closed,
    OpenSince(u64),
    Tried,
}

impl Plain {
    fn begin(&mut self, state: PlainState) {
        self.state = state;
        self.generation += 1;
        self.results.clear();
    }

    fn lets_in(&self) -> bool {
        match self.state {
            PlainState::Closed => true,
            PlainState::OpenSince(opened) => self.now >= opened + PAUSE,
            PlainState::Tried => false,
        }
    }

    fn enter(&mut self) -> u32 {
        match self.state {
            PlainState::Closed | PlainState::Tried => {}
            PlainState::OpenSince(_) => self.begin(PlainState::Tried),
        }
        self.generation
    }

    fn leave(&mut self, generation: u32, verdict: Verdict) -> Option<Change> {
        if generation != self.generation {
            return None;
        }
        match (self.state, verdict) {
            (PlainState::Closed, verdict) => self.result(verdict),
            (_, Verdict::Success) => {
                self.begin(PlainState::Closed);
                Some(Change::Closed)
            }
            (_, Verdict::Failure | Verdict::Fault | Verdict::Nothing) => {
                self.begin(PlainState::OpenSince(self.now));
                Some(Change::Opened)
            }
        }
    }

    fn result(&mut self, verdict: Verdict) -> Option<Change> {
        if verdict != Verdict::Nothing {
            self.results.push((self.now, verdict));
        }
        let since_success = self.results.iter().rev().take_while(|(_, verdict)| *verdict != Verdict::Success);
        let in_a_row = since_success.filter(|(_, verdict)| *verdict == Verdict::Failure).count();
        let lately = self.results.iter().filter(|(at, _)| at / SLOT + 10 > self.now / SLOT);
        let lately: Vec<_> = lately.map(|(_, verdict)| *verdict).collect();
        let failed = lately.iter().filter(|verdict| **verdict != Verdict::Success).count();
        let too_often = lately.len() >= 6 && failed * 2 >= lately.len();
        let has_failed = matches!(verdict, Verdict::Failure | Verdict::Fault);
        (has_failed && (in_a_row >= 3 || too_often)).then(|| {
            self.begin(PlainState::OpenSince(self.now));
            Change::Opened
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Enter,
    /// Which of those that are in, in the order of their entering, and what came of it.
    Leave(usize, Verdict),
    Lose(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Success),
        3 => Just(Verdict::Failure),
        2 => Just(Verdict::Fault),
        1 => Just(Verdict::Nothing),
    ];
    prop_oneof![
        6 => Just(Act::Enter),
        6 => (0..8_usize, verdict).prop_map(|(which, verdict)| Act::Leave(which, verdict)),
        1 => (0..8_usize).prop_map(Act::Lose),
        2 => (0..300_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn it_lets_in_and_changes_as_the_plain_form_does(acts in prop::collection::vec(act(), 1..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (breaker, mut plain) = (CircuitBreaker::new(CONFIG), Plain::default());
            let mut inside: Vec<(Permit, u32)> = Vec::new();
            for act in acts {
                prop_assert_eq!(breaker.would_enter(), plain.lets_in());
                match act {
                    Act::Enter => {
                        let permit = breaker.try_enter();
                        prop_assert_eq!(permit.is_ok(), plain.lets_in());
                        inside.extend(permit.ok().map(|permit| (permit, plain.enter())));
                    }
                    Act::Leave(which, verdict) if which < inside.len() => {
                        let (permit, generation) = inside.remove(which);
                        prop_assert_eq!(breaker.leave(permit, verdict), plain.leave(generation, verdict));
                    }
                    Act::Lose(which) if which < inside.len() => {
                        let (permit, generation) = inside.remove(which);
                        drop(permit);
                        plain.leave(generation, Verdict::Nothing);
                    }
                    Act::Leave(..) | Act::Lose(_) => {}
                    Act::Wait(millis) => {
                        plain.now += millis;
                        advance(Duration::from_millis(millis)).await;
                    }
                }
            }
            Ok(())
        })?;
    }
}
