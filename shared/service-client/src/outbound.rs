use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use discovery::Discover;
use http_body::Body;
use runtime::Env;
use service_auth::{Identity, TrustDomain};
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::callee::{Callee, Callees, Terms};
use crate::dialer::Dialer;
use crate::metrics::OutboundMetrics;
use crate::witness::Watcher;
use crate::{BoxError, Channel, HttpClient, InstanceStatus, Witness};

/// All that a process sends to other services. Clones share its connections.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

type Told = Box<dyn Fn() -> Vec<CalleeStatus> + Send>;

struct Shared {
    way: Way,
    channels: Mutex<BTreeMap<ServiceName, Channel>>,
    /// Each tells how a callee is. There are as many as the code takes.
    callees: Mutex<Vec<Told>>,
    closing: CancellationToken,
}

/// How others are called.
#[derive(Clone)]
struct Way {
    env: Env,
    identity: Identity,
    trust_domain: TrustDomain,
    discovery: Arc<dyn Discover>,
    callees: Callees,
    metrics: OutboundMetrics,
    watcher: Watcher,
}

/// How the way to another service is. What has breakers of its own there is told by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalleeStatus {
    /// Who is called.
    pub callee: ServiceName,
    /// `grpc` or `http`.
    pub protocol: &'static str,
    /// On which terms, by what the path begins with.
    pub terms: Vec<(String, Terms)>,
    /// The instances that are known.
    pub instances: Vec<InstanceStatus>,
}

impl Outbound {
    /// As `identity`, to the workloads of `trust_domain` that `discovery` finds.
    pub fn new(
        env: &Env,
        identity: &Identity,
        trust_domain: &TrustDomain,
        discovery: &Arc<dyn Discover>,
    ) -> Self {
        Self::by(Way {
            env: env.clone(),
            identity: identity.clone(),
            trust_domain: trust_domain.clone(),
            discovery: Arc::clone(discovery),
            callees: Callees::default(),
            metrics: OutboundMetrics::default(),
            watcher: Watcher::default(),
        })
    }

    fn by(way: Way) -> Self {
        let (channels, callees, closing) = (Mutex::default(), Mutex::default(), CancellationToken::new());
        Self(Arc::new(Shared { way, channels, callees, closing }))
    }

    /// Another one, on the terms of `callees`.
    #[must_use]
    pub fn with_callees(&self, callees: Callees) -> Self {
        Self::by(Way { callees, ..self.0.way.clone() })
    }

    /// Another one, whose requests are counted in `metrics`.
    #[must_use]
    pub fn measured(&self, metrics: &Metrics) -> Self {
        Self::by(Way { metrics: OutboundMetrics::new(metrics), ..self.0.way.clone() })
    }

    /// Another one, on whose requests `witness` keeps an eye.
    #[must_use]
    pub fn watched_by(&self, witness: Witness) -> Self {
        Self::by(Way { watcher: Watcher::new(witness), ..self.0.way.clone() })
    }

    /// The internal API of `service`. Whoever asks for the same service shares its connections.
    pub fn grpc(&self, service: &ServiceName) -> Channel {
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(service) {
            return channel.clone();
        }
        let endpoints = self.0.way.discovery.watch(service);
        let channel = Channel::new(self.callee(service, "grpc"), self.dialer(service), &endpoints);
        channels.insert(service.clone(), channel.clone());
        let told = channel.clone();
        self.callees().push(Box::new(move || told.status()));
        channel
    }

    /// The edge API of `service`, for requests with bodies of one type. Only clones share connections: take it once.
    pub fn http<B>(&self, service: &ServiceName) -> HttpClient<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let endpoints = self.0.way.discovery.watch(service);
        let client = HttpClient::new(self.callee(service, "http"), self.dialer(service), &endpoints);
        let told = client.clone();
        self.callees().push(Box::new(move || told.status()));
        client
    }

    /// How the way to each other service is, as far as any is called.
    pub fn status(&self) -> Vec<CalleeStatus> {
        self.callees().iter().flat_map(|callee| callee()).collect()
    }

    /// Ends every connection, and makes no more. What is still on its way is cut.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    fn callee(&self, service: &ServiceName, protocol: &'static str) -> Callee {
        let Way { callees, metrics, env, watcher, .. } = &self.0.way;
        let config = callees.0.get(service).cloned().unwrap_or_default();
        Callee::new((service, protocol), &config, &env.random, metrics.callee(service), watcher)
    }

    fn callees(&self) -> MutexGuard<'_, Vec<Told>> {
        self.0.callees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialer(&self, service: &ServiceName) -> Dialer {
        let Way { env, identity, trust_domain, .. } = &self.0.way;
        Dialer::new(env, identity, trust_domain, service, &self.0.closing)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("identity", &self.0.way.identity).finish_non_exhaustive()
    }
}
