use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const A_BIT: Duration = Duration::from_millis(1);

fn bulkhead(at_once: u32, waiting: u32) -> Bulkhead {
    Bulkhead::new(BulkheadConfig { at_once, waiting })
}

fn within(budget: Duration) -> Deadline {
    Deadline::within(budget)
}

#[tokio::test(start_paused = true)]
async fn so_many_are_under_way_so_many_wait_and_the_rest_is_refused_at_once() {
    let bulkhead = bulkhead(2, 1);
    let [first, _second] = [bulkhead.enter(within(SECOND)).await, bulkhead.enter(within(SECOND)).await];
    let third = bulkhead.enter(within(SECOND));
    let rest = async {
        assert_eq!(bulkhead.enter(within(SECOND)).await.err(), Some(BulkheadError::Full));
        drop(first);
    };
    let (third, ()) = tokio::join!(third, rest);
    assert!(third.is_ok());
    assert_eq!(
        bulkhead.enter(within(A_BIT)).await.err(),
        Some(BulkheadError::Late),
        "the third has the place"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_deadline() {
    let bulkhead = bulkhead(1, 1);
    let _place = bulkhead.enter(within(SECOND)).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(bulkhead.enter(within(SECOND)).await.err(), Some(BulkheadError::Late));
    let took = begun.elapsed();
    assert!((SECOND..=SECOND + A_BIT).contains(&took), "a timer goes by milliseconds: {took:?}");
    assert_eq!(bulkhead.waiting(1), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_line_leaves_no_gap() {
    let bulkhead = bulkhead(1, 1);
    let place = bulkhead.enter(within(SECOND)).await.unwrap();
    let left = tokio::time::timeout(A_BIT, bulkhead.enter(within(SECOND))).await;
    assert!(left.is_err());
    let (next, ()) = tokio::join!(bulkhead.enter(within(SECOND)), async { drop(place) });
    assert!(next.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_it_did_not_happen() {
    for refusal in [BulkheadError::Full, BulkheadError::Late] {
        assert_eq!(refusal.class(), ErrorClass::Unavailable);
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Enter { millis: u64 },
    Leave(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..50_u64).prop_map(|millis| Act::Enter { millis }),
        2 => (0..4_usize).prop_map(Act::Leave),
        2 => (1..30_u64).prop_map(Act::Wait),
    ]
}

/// The plain form: who has a place, and a line of those who wait with their deadlines.
#[derive(Debug, Default)]
struct Plain {
    under_way: Vec<usize>,
    line: VecDeque<(usize, u64)>,
    refused: Vec<(usize, BulkheadError)>,
}

impl Plain {
    fn enter(&mut self, who: usize, until: u64, at_once: usize, waiting: usize) {
        if self.under_way.len() < at_once {
            self.under_way.push(who);
        } else if self.line.len() < waiting {
            self.line.push_back((who, until));
        } else {
            self.refused.push((who, BulkheadError::Full));
        }
    }

    fn leave(&mut self, which: usize) -> Option<usize> {
        let left = (which < self.under_way.len()).then(|| self.under_way.remove(which));
        if left.is_some() {
            self.under_way.extend(self.line.pop_front().map(|(who, _)| who));
        }
        left
    }

    fn wait(&mut self, now: u64) {
        let late = self.line.iter().filter(|(_, until)| *until <= now).copied();
        self.refused.extend(late.map(|(who, _)| (who, BulkheadError::Late)));
        self.line.retain(|(_, until)| *until > now);
    }
}

type Entering = Pin<Box<dyn Future<Output = Result<Place, BulkheadError>>>>;

/// Those who have entered or are about to, as the bulkhead has it.
struct Real {
    bulkhead: Bulkhead,
    entering: Vec<(usize, Entering)>,
    under_way: Vec<(usize, Place)>,
    refused: Vec<(usize, BulkheadError)>,
}

impl Real {
    fn enter(&mut self, who: usize, deadline: Deadline) {
        let bulkhead = self.bulkhead.clone();
        self.entering.push((who, Box::pin(async move { bulkhead.enter(deadline).await })));
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.entering.retain_mut(|(who, entering)| match entering.as_mut().poll(&mut context) {
            Poll::Pending => true,
            Poll::Ready(entered) => {
                match entered {
                    Ok(place) => self.under_way.push((*who, place)),
                    Err(refusal) => self.refused.push((*who, refusal)),
                }
                false
            }
        });
    }
}

proptest! {
    #[test]
    fn it_lets_in_those_whom_the_plain_form_lets_in_and_in_the_same_order(
        at_once in 0..4_u32,
        waiting in 0..4_u32,
        acts in prop::collection::vec(act(), 1..100),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let bulkhead = bulkhead(at_once, waiting);
            let mut real = Real { bulkhead, entering: Vec::new(), under_way: Vec::new(), refused: Vec::new() };
            let (mut plain, mut now) = (Plain::default(), 0);
            for (who, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Enter { millis } => {
                        plain.enter(who, now + millis, at_once as usize, waiting as usize);
                        real.enter(who, within(Duration::from_millis(millis)));
                    }
                    Act::Leave(which) => if let Some(left) = plain.leave(which) {
                        prop_assert_eq!(real.under_way.remove(which).0, left);
                    },
                    Act::Wait(millis) => {
                        now += millis;
                        advance(Duration::from_millis(millis)).await;
                        plain.wait(now);
                    }
                }
                real.poll();
                prop_assert_eq!(real.under_way.iter().map(|(who, _)| *who).collect::<Vec<_>>(), &plain.under_way[..]);
                prop_assert_eq!(&real.refused, &plain.refused);
                prop_assert_eq!(real.bulkhead.waiting(waiting as usize), plain.line.len());
            }
            Ok(())
        })?;
    }
}
