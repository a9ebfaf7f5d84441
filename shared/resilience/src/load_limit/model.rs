use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const CONFIG: LoadLimitConfig =
    LoadLimitConfig { first: 6, least: 2, most: 12, slack: Duration::from_millis(1) };

#[derive(Clone, Copy, Debug)]
enum Act {
    Enter { limit: usize, priority: Priority },
    Finish(usize, Outcome),
    Drop(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let priority = prop_oneof![
        1 => Just(Priority::Operators),
        4 => Just(Priority::Users),
        2 => Just(Priority::Background),
    ];
    let outcome = prop_oneof![5 => Just(Outcome::Worked), 1 => Just(Outcome::Nothing)];
    prop_oneof![
        8 => (0..2_usize, priority).prop_map(|(limit, priority)| Act::Enter { limit, priority }),
        6 => (0..12_usize, outcome).prop_map(|(which, outcome)| Act::Finish(which, outcome)),
        1 => (0..12_usize).prop_map(Act::Drop),
        4 => (0..60_u64).prop_map(Act::Wait),
    ]
}

/// The plain form: whoever finds fewer under way than the share of its priority gets in.
fn gets_in(priority: Priority, in_flight: u32, limit: u32, all: u32) -> bool {
    let (of_limit, of_cap) = match priority {
        Priority::Operators => (u32::MAX, 12),
        Priority::Users => (limit, 10),
        Priority::Background => (limit * 3 / 4, 8),
    };
    in_flight < of_limit.max(1) && all < of_cap
}

proptest! {
    #[test]
    fn whoever_finds_a_place_gets_in_and_places_are_never_lost(acts in prop::collection::vec(act(), 1..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let first = LoadLimit::new(CONFIG);
            let limits = [first.clone(), first.beside()];
            let mut inside: Vec<(usize, Admitted)> = Vec::new();
            for act in acts {
                let in_flight = |of| inside.iter().filter(|(limit, _)| *limit == of).count() as u32;
                for (which, limit) in limits.iter().enumerate() {
                    prop_assert_eq!(limit.in_flight(), in_flight(which));
                    prop_assert!((1..=CONFIG.most).contains(&limit.limit()));
                }
                match act {
                    Act::Enter { limit: which, priority } => {
                        let limit = limits[which].limit();
                        let expected = gets_in(priority, in_flight(which), limit, inside.len() as u32);
                        let entered = limits[which].try_enter(priority);
                        prop_assert_eq!(entered.is_ok(), expected, "{:?} of {}", priority, limit);
                        inside.extend(entered.ok().map(|admitted| (which, admitted)));
                    }
                    Act::Finish(which, outcome) if which < inside.len() => {
                        inside.remove(which).1.finish(outcome);
                    }
                    Act::Drop(which) if which < inside.len() => drop(inside.remove(which)),
                    Act::Finish(..) | Act::Drop(_) => {}
                    Act::Wait(millis) => advance(Duration::from_millis(millis)).await,
                }
            }
            Ok(())
        })?;
    }
}
