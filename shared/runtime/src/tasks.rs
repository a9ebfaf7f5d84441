use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::Random;

/// The only way to start a task. Every task has a name and an owner that waits for it; a panic in one is a
/// fault of the whole service, never a task that is silently gone.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tracker: TaskTracker,
    // Tasks start with every request: only a name that is new takes the lock alone.
    running: RwLock<BTreeMap<&'static str, Arc<AtomicUsize>>>,
    fault: watch::Sender<Option<Fault>>,
    dedicated: Dedicated,
}

/// Where dedicated tasks run.
#[derive(Clone)]
enum Dedicated {
    Threads,
    /// Beside the others; how long their calls take is drawn.
    Inline(Random),
}

/// A task that panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {task} panicked: {message}")]
pub struct Fault {
    /// The task's name.
    pub task: &'static str,
    /// What the panic said.
    pub message: String,
}

/// Tasks did not end in the time they were given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("still running: {0:?}")]
pub struct StillRunning(
    /// How many of each name.
    pub Vec<(&'static str, usize)>,
);

impl Tasks {
    /// The longest that a call which holds up its thread takes in a simulation: a few trips through the network, so
    /// that the others get far meanwhile.
    const CALL: Duration = Duration::from_millis(60);

    /// One call in so many takes up to [`Tasks::HANG`], as on a disk that hangs: so few that it is well most of the time.
    const CALLS_BETWEEN_HANGS: u64 = 200;

    /// Longer than callers wait.
    const HANG: Duration = Duration::from_secs(4);

    /// Dedicated tasks get a thread of their own.
    pub(crate) fn on_threads() -> Self {
        Self::new(Dedicated::Threads)
    }

    /// Dedicated tasks run beside the others.
    pub(crate) fn inline(random: Random) -> Self {
        Self::new(Dedicated::Inline(random))
    }

    /// Other tasks, started in the same way.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.0.dedicated.clone())
    }

    fn new(dedicated: Dedicated) -> Self {
        let (fault, _) = watch::channel(None);
        Self(Arc::new(Inner { tracker: TaskTracker::new(), running: RwLock::default(), fault, dedicated }))
    }

    /// Starts a task. It ends by itself, when told so by whoever gave it its work, or by the handle.
    #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let guarded = self.guard(name, work);
        tokio::spawn(self.0.tracker.track_future(guarded)).abort_handle()
    }

    /// Starts a task that may hold up its thread, such as a database's writer: on a thread of its own, or
    /// as an ordinary task in a simulation.
    ///
    /// # Errors
    /// Those of the operating system when it has no thread to give.
    #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else must use")]
    pub fn spawn_dedicated(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        if matches!(self.0.dedicated, Dedicated::Inline(_)) {
            self.spawn(name, work);
            return Ok(());
        }
        let guarded = self.guard(name, work);
        let token = self.0.tracker.token();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(guarded);
            drop(token);
        })?;
        Ok(())
    }

    /// To be awaited by a dedicated task before a call that holds up its thread. A simulation's time stands still
    /// during a call, so there the time of the call passes here, and the others go on meanwhile; on a thread of its
    /// own the call itself takes it, and this does nothing.
    pub async fn before_holding_up(&self) {
        let Dedicated::Inline(random) = &self.0.dedicated else { return };
        let hangs = random.below(Self::CALLS_BETWEEN_HANGS) == 0;
        tokio::time::sleep(random.jitter(if hangs { Self::HANG } else { Self::CALL })).await;
    }

    /// Resolves with the first panic of a task.
    pub async fn fault(&self) -> Fault {
        let mut faults = self.0.fault.subscribe();
        match faults.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(fault)) => fault.clone(),
            // The sender lives as long as `self`, so there is nothing else to wait for.
            _ => std::future::pending().await,
        }
    }

    /// Waits until every task has ended; new ones may still be started meanwhile.
    ///
    /// # Errors
    /// The tasks that were still running after `within`.
    pub async fn join(&self, within: Duration) -> Result<(), StillRunning> {
        self.0.tracker.close();
        let ended = tokio::time::timeout(within, self.0.tracker.wait()).await;
        ended.map_err(|_elapsed| StillRunning(self.running()))
    }

    /// How many tasks of each name are running.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
        let counts = running.iter().map(|(&name, count)| (name, count.load(Ordering::Relaxed)));
        counts.filter(|&(_, count)| count > 0).collect()
    }

    fn guard(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (counted, inner) = (Counted::new(&self.0, name), Arc::clone(&self.0));
        async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                let fault = Fault { task: name, message: message_of(&*panic) };
                tracing::error!(task = fault.task, message = %fault.message, "a task panicked");
                inner.fault.send_if_modified(|first| {
                    let is_first = first.is_none();
                    first.get_or_insert(fault);
                    is_first
                });
            }
            drop(counted);
        }
    }
}

/// Counts a task for as long as it exists, also when it is aborted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(inner: &Inner, name: &'static str) -> Self {
        let known = inner.running.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let count = known.unwrap_or_else(|| {
            let mut running = inner.running.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(running.entry(name).or_default())
        });
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.running()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn joining_waits_for_every_task_and_names_those_that_stay() {
        let tasks = Tasks::on_threads();
        tasks.spawn("quick", async {});
        let stuck = tasks.spawn("stuck", std::future::pending());
        let left = tasks.join(Duration::from_secs(1)).await;
        assert_eq!(left, Err(StillRunning(vec![("stuck", 1)])));
        stuck.abort();
        assert_eq!(tasks.join(Duration::from_secs(1)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_task_is_a_fault_of_the_service() {
        let tasks = Tasks::on_threads();
        tasks.spawn("faulty", async { panic!("out of {}", "tea") });
        let fault = Fault { task: "faulty", message: "out of tea".to_owned() };
        let second = Duration::from_secs(1);
        assert_eq!(tokio::time::timeout(second, tasks.fault()).await, Ok(fault));
        assert_eq!(tasks.join(second).await, Ok(()));
    }

    #[tokio::test]
    async fn a_dedicated_task_has_a_thread_of_its_own_except_in_a_simulation() {
        for (tasks, apart) in [(Tasks::on_threads(), true), (Tasks::inline(Random::seeded(1)), false)] {
            let (told, name) = tokio::sync::oneshot::channel();
            let tell = async move {
                let thread = std::thread::current().name().map(str::to_owned);
                told.send(thread).expect("the test waits for it");
            };
            tasks.spawn_dedicated("writer", tell).unwrap();
            assert_eq!(name.await.unwrap() == Some("writer".to_owned()), apart);
            assert_eq!(tasks.join(Duration::from_secs(1)).await, Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_holds_up_its_thread_takes_time_in_a_simulation_alone() {
        for (tasks, takes_time) in [(Tasks::on_threads(), false), (Tasks::inline(Random::seeded(1)), true)] {
            let began = tokio::time::Instant::now();
            tasks.before_holding_up().await;
            assert_eq!(began.elapsed() > Duration::ZERO, takes_time);
        }
    }
}
