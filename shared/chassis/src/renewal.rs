//! A certificate may end before the process does: what brings the next one.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use service_auth::Identity;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Background;

/// Brings a service's next certificate, where there is one. Clones are the same.
#[derive(Clone)]
pub struct Renewal(Arc<Renew>);

type Renew = dyn Fn(&Identity) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync;

impl Renewal {
    /// A mounted secret takes about a minute to show in a container, and is changed days before the old one ends.
    pub const EVERY: Duration = Duration::from_secs(60);

    /// By calling `renew` every minute. It replaces what the identity has when there is something newer.
    pub fn new<E>(renew: impl Fn(&Identity) -> Result<(), E> + Send + Sync + 'static) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        Self(Arc::new(move |identity| renew(identity).map_err(Box::from)))
    }

    /// Looks once.
    ///
    /// # Errors
    /// Why there is no new certificate, though there should be.
    pub fn renew(&self, identity: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        (self.0)(identity)
    }

    pub(crate) fn of(self, identity: Identity) -> Background {
        Background::new("certificate renewal", move |stop| self.keep_renewing(identity, stop))
    }

    async fn keep_renewing(self, identity: Identity, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(Self::EVERY)).await.is_some() {
            let before = identity.expires_at();
            match self.renew(&identity) {
                Ok(()) if identity.expires_at() == before => {}
                Ok(()) => tracing::info!(until = %identity.expires_at(), "a new certificate is in use"),
                // What is in use stays in use: until it ends there is time to mend what is wrong.
                Err(error) => tracing::error!(error = &*error as &dyn Error, %before, "no new certificate"),
            }
        }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}
