use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use discovery::Discover;
use runtime::Env;
use service_auth::{Identity, TrustDomain};
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::dialer::Dialer;
use crate::{Channel, HttpClient};

/// All that a process sends to other services. Clones share its connections.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

struct Shared {
    env: Env,
    identity: Identity,
    trust_domain: TrustDomain,
    discovery: Arc<dyn Discover>,
    channels: Mutex<BTreeMap<ServiceName, Channel>>,
    closing: CancellationToken,
}

impl Outbound {
    /// As `identity`, to the workloads of `trust_domain` that `discovery` finds.
    pub fn new(
        env: &Env,
        identity: &Identity,
        trust_domain: &TrustDomain,
        discovery: &Arc<dyn Discover>,
    ) -> Self {
        Self(Arc::new(Shared {
            env: env.clone(),
            identity: identity.clone(),
            trust_domain: trust_domain.clone(),
            discovery: Arc::clone(discovery),
            channels: Mutex::default(),
            closing: CancellationToken::new(),
        }))
    }

    /// The internal API of `service`. Whoever asks for the same service shares its connections.
    pub fn grpc(&self, service: &ServiceName) -> Channel {
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Channel::new(self.dialer(service), self.0.discovery.watch(service));
        channels.entry(service.clone()).or_insert_with(new).clone()
    }

    /// The edge API of `service`, for requests with bodies of one type. Only clones share connections: take it once.
    pub fn http<B>(&self, service: &ServiceName) -> HttpClient<B> {
        HttpClient::new(self.dialer(service), self.0.discovery.watch(service))
    }

    /// Ends every connection, and makes no more. What is still on its way is cut.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    fn dialer(&self, service: &ServiceName) -> Dialer {
        let Shared { env, identity, trust_domain, closing, .. } = &*self.0;
        Dialer::new(env, identity, trust_domain, service, closing)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}
