use crate::{Clock, Compute, Ids, Net, Random, Tasks};

/// What a service takes from outside itself. Cheap to clone; made once per process.
#[derive(Clone, Debug)]
pub struct Env {
    /// The wall clock.
    pub clock: Clock,
    /// New identities.
    pub ids: Ids,
    /// Keys, salts, jitter.
    pub random: Random,
    /// Sockets.
    pub net: Net,
    /// The only way to start a task.
    pub tasks: Tasks,
    /// Where computation goes that would hold up an async thread.
    pub compute: Compute,
}

impl Env {
    /// The machine's own clock, randomness and network; `compute_threads` bounds the heavy computations
    /// that run at once. Must be called inside a tokio runtime.
    pub fn system(compute_threads: usize) -> Self {
        let tasks = Tasks::on_threads();
        let compute = Compute::pool(compute_threads);
        Self::new(Clock::system(), Random::system(), Net::system(), tasks, compute)
    }

    /// Every source given by the caller, and all computation on the calling thread: the same inputs give
    /// the same run. Dedicated tasks become ordinary ones, since a thread could not be scheduled by seed.
    pub fn simulated(clock: Clock, random: Random, net: Net) -> Self {
        let tasks = Tasks::inline(random.clone());
        Self::new(clock, random, net, tasks, Compute::inline())
    }

    /// The same sources with tasks of their own, for another service in this process: each waits for its own
    /// tasks alone, and a panic in one of them is no fault of the other's.
    #[must_use]
    pub fn with_own_tasks(&self) -> Self {
        Self { tasks: self.tasks.apart(), ..self.clone() }
    }

    fn new(clock: Clock, random: Random, net: Net, tasks: Tasks, compute: Compute) -> Self {
        let ids = Ids::new(clock.clone(), random.clone());
        Self { clock, ids, random, net, tasks, compute }
    }
}
