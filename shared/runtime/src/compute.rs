use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

/// Where computation goes that takes milliseconds of a processor, such as hashing a password: onto threads of its own, so
/// many and no more, which get what the async threads leave of the processors; so many waiting and no more.
///
/// A burst may wait. A line that does not end is no burst: then only half as many wait as there are threads, so that who is
/// let in waits no longer than half of what the work takes, however much is asked for ("Controlling Queue Delay", Nichols and
/// Jacobson, 2012, has the idea of telling the one from the other by the shortest wait of late).
#[derive(Clone)]
pub struct Compute(Option<Arc<Pool>>);

struct Pool {
    threads: usize,
    slots: Arc<Semaphore>,
    line: Mutex<Line>,
    /// As many as there are slots find room in it.
    jobs: SyncSender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// Those who wait for a slot.
struct Line {
    waiting: usize,
    /// Since when there has been somebody in it.
    began: Instant,
    rush: Option<Rush>,
}

/// Since somebody was refused.
struct Rush {
    began: Instant,
    asked: u32,
    refused: u32,
}

/// Why a computation gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// As many are waiting as may; it did not run.
    #[error("too many computations are waiting")]
    Overloaded,
    /// It panicked.
    #[error("the computation panicked")]
    Panicked,
}

impl Compute {
    /// In a burst, for each thread. At 27 ms for a password this is under half a second of work; whoever comes after that
    /// is better told at once.
    const MOST_WAITING: usize = 16;
    /// By then a burst of so many is over.
    const BURST: Duration = Duration::from_millis(500);
    /// A rush is over when for so long no more than one in so many was refused: half a line is found taken by chance, too.
    const CALM: Duration = Duration::from_secs(1);
    const BY_CHANCE: u32 = 10;

    /// # Panics
    /// If the system gives no threads.
    pub(crate) fn pool(threads: usize) -> Self {
        let threads = threads.max(1);
        let (jobs, due) = sync_channel(threads);
        let due = Arc::new(Mutex::new(due));
        for _ in 0..threads {
            let due = Arc::clone(&due);
            #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
            std::thread::Builder::new()
                .name("compute".to_owned())
                .spawn(move || work_off(&due))
                .expect("the system gives threads at the start");
        }
        let line = Mutex::new(Line { waiting: 0, began: Instant::now(), rush: None });
        Self(Some(Arc::new(Pool { threads, slots: Arc::new(Semaphore::new(threads)), line, jobs })))
    }

    pub(crate) fn inline() -> Self {
        Self(None)
    }

    /// Runs `work`, waiting for a free slot.
    ///
    /// # Errors
    /// [`ComputeError`]: too many are waiting, or `work` panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let Some(pool) = &self.0 else { return Ok(work()) };
        let slot = {
            let _place = Place::take(pool)?;
            Arc::clone(&pool.slots).acquire_owned().await.expect("the semaphore is never closed")
        };
        let (tell, told) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // Held here and not by the caller, who may have given up waiting while the work went on.
            drop(slot);
            tell.send(result).unwrap_or_default();
        });
        pool.jobs.send(job).expect("the threads last as long as the pool");
        told.await.ok().and_then(Result::ok).ok_or(ComputeError::Panicked)
    }

    /// How many computations wait for a slot.
    pub fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |pool| pool.line().waiting)
    }
}

/// Does one job after the other until nobody is left who could bring one.
fn work_off(due: &Mutex<Receiver<Job>>) {
    yield_to_others();
    loop {
        // Whoever waits for a job keeps the others from waiting for it too; who works does not.
        let job = due.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_nobody) => return,
        }
    }
}

/// A machine that is full of computation still takes in and refuses requests at once: the thread gets what the others
/// leave. Elsewhere than on Linux, a thread has no priority of its own.
fn yield_to_others() {
    /// A tenth of what the others get while they want it.
    #[cfg(target_os = "linux")]
    const NICENESS: i32 = 10;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(error = &error as &dyn std::error::Error, "computation takes as much as requests");
    }
}

impl Pool {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn take(&mut self, threads: usize) -> Result<(), ComputeError> {
        let now = Instant::now();
        if let Some(rush) = self.rush.take_if(|rush| now - rush.began >= Compute::CALM) {
            self.rush = rush.goes_on(now).then(|| Rush::begin(now));
        }
        self.rush.iter_mut().for_each(|rush| rush.asked += 1);
        let is_burst = self.waiting == 0 || now - self.began < Compute::BURST;
        let most = match self.rush {
            None if is_burst => Compute::MOST_WAITING * threads,
            _ => threads.div_ceil(2),
        };
        if self.waiting >= most {
            self.rush.get_or_insert_with(|| Rush::begin(now)).refused += 1;
            return Err(ComputeError::Overloaded);
        }
        if self.waiting == 0 {
            self.began = now;
        }
        self.waiting += 1;
        Ok(())
    }
}

impl Rush {
    fn begin(now: Instant) -> Self {
        Self { began: now, asked: 0, refused: 0 }
    }

    /// Unless few were refused, or nobody has come for as long again.
    fn goes_on(&self, now: Instant) -> bool {
        self.refused * Compute::BY_CHANCE > self.asked && now - self.began < Compute::CALM * 2
    }
}

/// A place in the line, given back when the wait ends in whatever way.
struct Place<'a>(&'a Pool);

impl<'a> Place<'a> {
    fn take(pool: &'a Pool) -> Result<Self, ComputeError> {
        pool.line().take(pool.threads).map(|()| Self(pool))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.line().waiting -= 1;
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn only_so_many_run_at_once_and_only_so_many_wait() {
        let compute = Compute::pool(1);
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let first = compute.run(move || {
            started.send(()).expect("the test waits for it");
            held.recv().expect("the test releases it");
        });
        let crowd = async {
            running.await.unwrap();
            let waiting = join_all((0..Compute::MOST_WAITING).map(|_| compute.run(|| ())));
            let late = async {
                assert_eq!(compute.waiting(), Compute::MOST_WAITING);
                let refused = compute.run(|| ()).now_or_never();
                release.send(()).unwrap();
                refused
            };
            tokio::join!(biased; waiting, late)
        };
        let (first, (waited, late)) = tokio::join!(first, crowd);
        assert_eq!(first, Ok(()));
        assert_eq!(waited, vec![Ok(()); Compute::MOST_WAITING]);
        assert_eq!(late, Some(Err(ComputeError::Overloaded)), "it is told at once");
        assert_eq!(compute.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_line_that_does_not_end_only_half_as_many_wait_as_there_are_threads() {
        const THREADS: usize = 4;
        let mut line = Line { waiting: 0, began: Instant::now(), rush: None };
        let come = |line: &mut Line| line.take(THREADS).is_ok();
        for _ in 0..5 {
            assert!(come(&mut line), "a burst may wait");
        }
        tokio::time::advance(Compute::BURST).await;
        assert!(!come(&mut line), "the line has been there for too long");
        for _ in 0..10 {
            line.waiting = 0;
            assert!(come(&mut line) && come(&mut line));
            assert!(!come(&mut line), "that it was short for a moment does not end the rush");
            tokio::time::advance(Compute::CALM / 5).await;
        }
        for _ in 0..20 {
            line.waiting = 0;
            assert!(come(&mut line));
            tokio::time::advance(Compute::CALM / 5).await;
        }
        line.waiting = 0;
        for _ in 0..5 {
            assert!(come(&mut line), "nobody has been refused for a while");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn computation_yields_to_everything_else() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let there = Compute::pool(1).run(niceness).await.unwrap();
        assert!(there > niceness(), "{there}");
    }

    #[tokio::test]
    async fn a_panic_is_told_to_the_one_who_asked() {
        let compute = Compute::pool(1);
        assert_eq!(compute.run(|| panic!("no")).await, Err::<(), _>(ComputeError::Panicked));
        assert_eq!(compute.run(|| 1).await, Ok(1));
    }
}
