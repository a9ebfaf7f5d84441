use std::collections::VecDeque;

use runtime::Random;
use tokio::time::advance;

use super::*;

/// What can do so much at once, keeps as many waiting, and refuses the rest.
struct Service {
    throttle: Throttle,
    random: Random,
    workers: usize,
    /// When those are answered that it has taken, in the order of that.
    due: VecDeque<Instant>,
}

/// What came of asking it.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    asked: usize,
    kept_back: usize,
    refused: usize,
    answered: usize,
}

const TAKES: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

impl Service {
    fn new(workers: usize) -> Self {
        Self { throttle: Throttle::default(), random: Random::seeded(5), workers, due: VecDeque::new() }
    }

    /// Asks it so many times as often as it can answer.
    async fn asked(&mut self, times: f64, long: Duration) -> Tally {
        let between = TAKES.div_f64(self.workers.max(1) as f64 * times);
        let (until, mut tally) = (Instant::now() + long, Tally::default());
        let mut next = Instant::now();
        loop {
            next += between.mul_f64(self.random.below(2_000) as f64 / 1_000.0);
            while let Some(done) = self.due.front().copied().filter(|done| *done <= next) {
                advance(done.saturating_duration_since(Instant::now())).await;
                self.due.pop_front();
                self.throttle.answered();
                tally.answered += 1;
            }
            if next >= until {
                return tally;
            }
            advance(next.saturating_duration_since(Instant::now())).await;
            self.ask(&mut tally);
        }
    }

    fn ask(&mut self, tally: &mut Tally) {
        tally.asked += 1;
        if self.throttle.try_enter().is_err() {
            tally.kept_back += 1;
        } else if self.due.len() >= self.workers * 2 {
            self.throttle.refused();
            tally.refused += 1;
        } else {
            let before = self.due.len().checked_sub(self.workers).map(|before| self.due[before]);
            self.due.push_back(before.unwrap_or_else(Instant::now) + TAKES);
        }
    }

    fn most(&self, long: Duration) -> f64 {
        self.workers as f64 * long.div_duration_f64(TAKES)
    }
}

#[tokio::test(start_paused = true)]
async fn asked_for_far_too_much_it_keeps_back_nearly_all_that_would_be_refused_and_the_work_goes_on() {
    for times in [2.0, 5.0, 10.0, 50.0] {
        let mut service = Service::new(4);
        service.asked(times, Duration::from_secs(2)).await;
        let tally = service.asked(times, LONG).await;
        let (answered, refused) = (tally.answered as f64, tally.refused as f64);
        assert!(answered >= service.most(LONG) * 0.95, "{times}: {tally:?}");
        assert!(refused <= answered * 0.35, "{times}: {tally:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_back_where_hardly_anything_is_refused() {
    let throttle = Throttle::default();
    for nth in 0..10_000 {
        throttle.try_enter().unwrap();
        advance(Duration::from_millis(1)).await;
        if nth % 20 == 0 { throttle.refused() } else { throttle.answered() }
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_less_than_is_answered_is_not_kept_back_after_a_rush() {
    let mut service = Service::new(4);
    service.asked(10.0, LONG).await;
    service.asked(0.8, Duration::from_secs(1)).await;
    let tally = service.asked(0.8, LONG).await;
    assert!(tally.kept_back * 100 <= tally.asked, "{tally:?}");
    assert!(!service.throttle.is_active(), "it does not even count");
}

#[tokio::test(start_paused = true)]
async fn it_lets_in_more_as_soon_as_there_is_more_room() {
    let mut service = Service::new(4);
    service.asked(10.0, LONG).await;
    service.workers = 16;
    service.asked(2.5, Duration::from_secs(3)).await;
    let tally = service.asked(2.5, LONG).await;
    assert!(tally.answered as f64 >= service.most(LONG) * 0.95, "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_few_are_let_in_where_nothing_is_answered_so_that_the_end_of_that_is_seen() {
    let mut service = Service::new(0);
    service.asked(1.0, LONG).await;
    let tally = service.asked(1.0, LONG).await;
    assert!(tally.refused > 0 && tally.refused <= 4 * 20 + 1, "{tally:?}");
    service.workers = 4;
    service.asked(2.0, Duration::from_secs(5)).await;
    let tally = service.asked(2.0, LONG).await;
    assert!(tally.answered as f64 >= service.most(LONG) * 0.95, "{tally:?}");
}
