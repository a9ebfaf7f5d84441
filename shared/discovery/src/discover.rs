use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use runtime::Deadline;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::{Endpoint, Endpoints};

/// What knows where the services are.
pub trait Discover: Send + Sync + fmt::Debug {
    /// The instances of `service` now, then every later set. What cannot be asked at the moment keeps the last set,
    /// and a sender that is gone means that the set is final.
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints>;

    /// Makes an instance of `service` known for as long as the registration is kept. Comes back at once; what takes
    /// time, and has to be tried again, goes on by itself.
    fn register(&self, service: &ServiceName, endpoint: Endpoint) -> Registration {
        self.register_checked(service, endpoint, None)
    }

    /// The same for an instance that answers at `health` for its readiness: `GET /health/ready` in plain HTTP.
    fn register_checked(
        &self,
        service: &ServiceName,
        endpoint: Endpoint,
        health: Option<SocketAddr>,
    ) -> Registration;

    /// How far what it knows may be relied on; nothing where that is never in doubt.
    fn standing(&self) -> Option<Standing> {
        None
    }

    /// Ends what it does in the background for this process. The sets that it has told of are final.
    fn close(&self) {}
}

/// How far what a discovery knows may be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as things are.
    Current {
        /// The time since the last answer; where several things are asked for, since the oldest of those answers.
        age: Duration,
    },
    /// It is as things were, and goes on being told: it cannot be asked any more.
    Stale {
        /// The time since the last answer.
        age: Duration,
        /// Why there is no later one.
        why: String,
    },
    /// There has never been an answer about something that is watched, or to a registration.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Standing {
    /// The time since the last answer; nothing where there never was one.
    pub fn age(&self) -> Option<Duration> {
        match self {
            Self::Current { age } | Self::Stale { age, .. } => Some(*age),
            Self::Unknown { .. } => None,
        }
    }

    /// The worse of two.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (unknown @ Self::Unknown { .. }, _) | (_, unknown @ Self::Unknown { .. }) => unknown,
            (Self::Stale { age, why }, other) | (other, Self::Stale { age, why }) => {
                Self::Stale { age: age.max(other.age().unwrap_or_default()), why }
            }
            (Self::Current { age: one }, Self::Current { age: other }) => {
                Self::Current { age: one.max(other) }
            }
        }
    }
}

/// That an instance is known. It is withdrawn when this is dropped.
#[must_use = "dropping it withdraws the instance"]
pub struct Registration(Held);

enum Held {
    /// It is not this process's to take back, or it has been taken back.
    Elsewhere,
    /// What takes it back at once.
    Here(Option<Box<dyn FnOnce() + Send + Sync>>),
    /// A task that keeps it, and takes it back when told to stop.
    Kept(Keeper),
}

/// A task that keeps a registration.
pub(crate) struct Keeper {
    /// Tells it to take the instance back.
    pub(crate) stop: CancellationToken,
    /// Told once nobody knows the instance any more, and dropped untold when that is not tried any more.
    pub(crate) withdrawn: oneshot::Receiver<()>,
    pub(crate) task: AbortHandle,
}

/// The instance may still be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance could not be withdrawn in time")]
pub struct StillKnown;

impl Registration {
    /// One that `withdraw` takes back at once.
    pub fn new(withdraw: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Held::Here(Some(Box::new(withdraw))))
    }

    /// One that is not this process's to take back.
    pub fn kept_elsewhere() -> Self {
        Self(Held::Elsewhere)
    }

    pub(crate) fn kept_by(keeper: Keeper) -> Self {
        Self(Held::Kept(keeper))
    }

    /// Takes the instance back, and waits until `deadline` for that to be known to whoever tells the others, or until that
    /// is given up.
    ///
    /// # Errors
    /// [`StillKnown`]: it was not confirmed by then, and is not tried any more.
    pub async fn withdraw(mut self, deadline: Deadline) -> Result<(), StillKnown> {
        match std::mem::replace(&mut self.0, Held::Elsewhere) {
            Held::Kept(Keeper { stop, withdrawn, task }) => {
                stop.cancel();
                let confirmed = deadline.bound(withdrawn).await;
                task.abort();
                match confirmed {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) | Err(_) => Err(StillKnown),
                }
            }
            // Done as soon as it is dropped.
            at_once => {
                drop(Self(at_once));
                Ok(())
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        match &mut self.0 {
            Held::Elsewhere => {}
            Held::Here(withdraw) => {
                if let Some(withdraw) = withdraw.take() {
                    withdraw();
                }
            }
            Held::Kept(keeper) => keeper.stop.cancel(),
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}
