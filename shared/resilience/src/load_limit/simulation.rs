//! A server with so many workers and one line before them, asked in an open loop: whoever is refused is not asked
//! again, and the next come when they come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use runtime::Random;
use tokio::time::advance;

use super::*;

/// What asking for so long came to.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    took: Vec<Duration>,
}

struct Server {
    limit: LoadLimit,
    random: Random,
    workers: usize,
    service: Service,
    idle: usize,
    line: VecDeque<(Instant, Admitted)>,
    /// When they are done, in the order of that.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    at_work: BTreeMap<u64, (Instant, Admitted)>,
    begun: u64,
}

/// How long a worker takes.
#[derive(Clone, Copy, Debug)]
enum Service {
    Always(Duration),
    /// Exponentially distributed about this.
    About(Duration),
    /// Always this but for one of a hundred, which takes twenty times as long.
    NearlyAlways(Duration),
}

const WORKERS: usize = 16;
const MEAN: Duration = Duration::from_millis(50);

impl Service {
    fn mean(self) -> Duration {
        match self {
            Self::Always(mean) | Self::About(mean) => mean,
            Self::NearlyAlways(mean) => mean.mul_f64(1.19),
        }
    }

    fn draw(self, random: &Random) -> Duration {
        match self {
            Self::Always(mean) => mean,
            Self::About(mean) => exponential(mean, random),
            Self::NearlyAlways(mean) => mean * if random.below(100) == 0 { 20 } else { 1 },
        }
    }
}

fn exponential(mean: Duration, random: &Random) -> Duration {
    const PARTS: u64 = 1_000_000_000;
    let uniform = (random.below(PARTS) + 1) as f64 / PARTS as f64;
    mean.mul_f64(-uniform.ln())
}

impl Server {
    fn new(service: Service, config: LoadLimitConfig) -> Self {
        Self {
            limit: LoadLimit::new(config),
            random: Random::seeded(7),
            workers: WORKERS,
            service,
            idle: WORKERS,
            line: VecDeque::new(),
            due: BinaryHeap::new(),
            at_work: BTreeMap::new(),
            begun: 0,
        }
    }

    /// Requests in a second at which all workers are busy.
    fn capacity(&self) -> f64 {
        self.workers as f64 / self.service.mean().as_secs_f64()
    }

    /// Asks so many times the capacity for so long.
    async fn asked(&mut self, times: f64, long: Duration) -> Tally {
        let (until, mut tally) = (Instant::now() + long, Tally::default());
        let between = Duration::from_secs_f64(1.0 / (self.capacity() * times));
        let mut next = Instant::now() + exponential(between, &self.random);
        loop {
            let done = self.due.peek().map(|Reverse((at, _))| *at);
            let at = done.map_or(next, |done| done.min(next)).min(until);
            advance(at - Instant::now()).await;
            if at == until {
                return tally;
            }
            if done == Some(at) {
                self.finish_one(&mut tally);
            } else {
                next += exponential(between, &self.random);
                if let Ok(admitted) = self.limit.try_enter(Priority::Users) {
                    self.line.push_back((at, admitted));
                }
            }
            self.work();
        }
    }

    fn work(&mut self) {
        while self.idle > 0
            && let Some(waiting) = self.line.pop_front()
        {
            self.idle -= 1;
            self.begun += 1;
            let done = Instant::now() + self.service.draw(&self.random);
            self.due.push(Reverse((done, self.begun)));
            self.at_work.insert(self.begun, waiting);
        }
    }

    fn finish_one(&mut self, tally: &mut Tally) {
        let Reverse((_, number)) = self.due.pop().unwrap();
        let (entered, admitted) = self.at_work.remove(&number).unwrap();
        admitted.finish(Outcome::Worked);
        tally.answered += 1;
        tally.took.push(entered.elapsed());
        self.employ(self.workers);
    }

    fn employ(&mut self, workers: usize) {
        self.workers = workers;
        self.idle = workers.saturating_sub(self.at_work.len());
    }
}

impl Tally {
    fn p99(&self) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took[took.len() * 99 / 100]
    }

    /// Of what would have been answered if nobody had waited in vain.
    fn share_of(&self, most: f64) -> f64 {
        self.answered as f64 / most
    }
}

const LONG: Duration = Duration::from_secs(20);
/// What it takes to find out what the server can do.
const SECONDS: Duration = Duration::from_secs(5);

/// A server that knows what it can do when it is asked so much.
async fn adapted(service: Service, times: f64) -> Server {
    let mut server = Server::new(service, LoadLimitConfig::default());
    server.asked(times, SECONDS * 2).await;
    server
}

async fn does_well(server: &mut Server, times: f64, least: f64, unloaded: Duration) {
    let most = server.capacity() * times.min(1.0) * LONG.as_secs_f64();
    let tally = server.asked(times, LONG).await;
    let (share, p99) = (tally.share_of(most), tally.p99());
    assert!(share >= least, "{share} of what it could do at {times} times its capacity");
    assert!(p99 <= unloaded * 2, "99 of 100 took up to {p99:?} at {times} times its capacity");
}

#[tokio::test(start_paused = true)]
async fn asked_for_ten_times_what_it_can_do_it_does_that_and_as_fast_as_ever() {
    for times in [0.5, 0.8, 1.2, 2.0, 5.0, 10.0] {
        let mut server = adapted(Service::Always(MEAN), times).await;
        does_well(&mut server, times, 0.9, MEAN).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_so_when_some_take_much_longer_than_others() {
    // In an exponential distribution 99 of 100 are below this.
    let unloaded = MEAN.mul_f64(4.6);
    for times in [0.5, 0.8, 1.2, 2.0, 5.0, 10.0] {
        let mut server = adapted(Service::About(MEAN), times).await;
        does_well(&mut server, times, 0.9, unloaded).await;
    }
    // What comes by chance at the very capacity finds all places taken now and then, even behind a perfect limit.
    let mut server = adapted(Service::About(MEAN), 1.0).await;
    does_well(&mut server, 1.0, 0.8, unloaded).await;
}

#[tokio::test(start_paused = true)]
async fn a_few_slow_calls_are_no_overload() {
    let mut server = adapted(Service::NearlyAlways(MEAN), 2.0).await;
    let mut answered = 0;
    for _ in 0..20 {
        answered += server.asked(2.0, Duration::from_secs(1)).await.answered;
        // A probe may have halved it.
        assert!(server.limit.limit() >= WORKERS as u32 / 2, "{}", server.limit.limit());
    }
    let share = answered as f64 / (server.capacity() * 20.0);
    assert!(share > 0.9, "{share} of what it could do");
}

#[tokio::test(start_paused = true)]
async fn it_finds_out_within_seconds_when_the_work_takes_longer_or_shorter() {
    let mut server = adapted(Service::Always(MEAN), 2.0).await;
    for mean in [MEAN * 5, MEAN, MEAN / 10, MEAN] {
        server.service = Service::Always(mean);
        server.asked(2.0, SECONDS * 2).await;
        does_well(&mut server, 2.0, 0.9, mean).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_finds_out_within_seconds_when_there_are_fewer_or_more_workers() {
    let mut server = adapted(Service::Always(MEAN), 4.0).await;
    for workers in [WORKERS / 4, WORKERS, WORKERS * 4, WORKERS] {
        server.employ(workers);
        server.asked(4.0, SECONDS * 2).await;
        does_well(&mut server, 4.0, 0.9, MEAN).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_which_less_than_half_is_in_use_stays_where_it_is() {
    let mut server = Server::new(Service::About(MEAN), LoadLimitConfig::default());
    server.asked(0.5, LONG * 10).await;
    assert_eq!(server.limit.limit(), LoadLimitConfig::default().first);
}
