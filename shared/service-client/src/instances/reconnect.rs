use std::fmt;
use std::sync::Arc;

use super::{Connections, Instance};
use crate::ConnectError;
use crate::dialer::Dialer;

/// Connects to an instance that is left out, so that no request waits to find out that it is not back.
pub(crate) struct Reconnect<C>(Arc<dyn Fn(Arc<Instance<C>>) + Send + Sync>);

impl<C> Reconnect<C> {
    pub(crate) fn by(begin: impl Fn(Arc<Instance<C>>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(begin))
    }

    pub(super) fn begin(&self, instance: &Arc<Instance<C>>) {
        (self.0)(Arc::clone(instance));
    }
}

impl<C: Connections + Send + Sync + 'static> Reconnect<C> {
    /// By what `connect` does, which gives the connection to the instance and not back.
    pub(crate) fn over<F>(dialer: &Dialer, connect: fn(Dialer, Arc<Instance<C>>) -> F) -> Self
    where
        F: Future<Output = Result<(), Arc<ConnectError>>> + Send + 'static,
    {
        let dialer = dialer.clone();
        Self::by(move |instance: Arc<Instance<C>>| {
            let connected = connect(dialer.clone(), Arc::clone(&instance));
            dialer.runner().run(async move {
                // Its circuit breaker counts what befalls requests, of which there is none here.
                if let Err(error) = connected.await {
                    instance.unreached(&error);
                }
            });
        })
    }
}

impl<C> Clone for Reconnect<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Reconnect<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").finish_non_exhaustive()
    }
}
