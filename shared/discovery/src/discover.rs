use std::fmt;

use tokio::sync::watch;
use types::ServiceName;

use crate::{Endpoint, Endpoints};

/// What knows where the services are.
pub trait Discover: Send + Sync + fmt::Debug {
    /// The instances of `service` now, then every later set. What cannot be asked at the moment keeps the last set,
    /// and a sender that is gone means that the set is final.
    fn watch(&self, service: &ServiceName) -> watch::Receiver<Endpoints>;

    /// Makes an instance of `service` known for as long as the registration is kept.
    fn register(&self, service: &ServiceName, endpoint: Endpoint) -> Registration;
}

/// That an instance is known. It is withdrawn when this is dropped.
#[must_use = "dropping it withdraws the instance"]
pub struct Registration(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Registration {
    /// One that `withdraw` takes back.
    pub fn new(withdraw: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(withdraw)))
    }

    /// One that is not this process's to take back.
    pub fn kept_elsewhere() -> Self {
        Self(None)
    }

    /// Takes the instance back. Those who watch are told before this returns.
    pub fn withdraw(self) {
        drop(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(withdraw) = self.0.take() {
            withdraw();
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}
