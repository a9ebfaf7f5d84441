use std::sync::Arc;

use discovery::Discover;
use runtime::Env;
use service_auth::{Identity, Issuer, TrustDomain};
use service_client::{Callees, Outbound, Witness};
use telemetry::{LogFilter, Metrics};
use types::ServiceName;

use crate::knowledge;
use crate::{Health, Listeners, Renewal};

/// This build's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a service is given to live with: made by [`main`](crate::main) for one, by `flotilla up` for each of
/// all. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Which service this is.
    pub service: ServiceName,
    /// Everything random or outside.
    pub env: Env,
    /// Who the service is to others.
    pub identity: Identity,
    /// What brings its next certificate, where it may outlive the first.
    pub renewal: Option<Renewal>,
    /// The workloads it believes in at all.
    pub trust_domain: TrustDomain,
    /// Whose access tokens it takes.
    pub issuer: Issuer,
    /// What it counts.
    pub metrics: Metrics,
    /// What its process logs, where operators may change that.
    pub log_filter: Option<LogFilter>,
    /// What it says of itself.
    pub health: Health,
    /// Where it is to listen.
    pub listeners: Listeners,
    /// Where the others are, and where it makes itself known.
    pub discovery: Arc<dyn Discover>,
    outbound: Outbound,
}

impl Platform {
    /// The platform of `service`, with nothing counted and nothing started yet, on which access tokens are from the
    /// default issuer.
    pub fn new(
        service: ServiceName,
        env: Env,
        identity: Identity,
        trust_domain: TrustDomain,
        listeners: Listeners,
        discovery: Arc<dyn Discover>,
    ) -> Self {
        let metrics = Metrics::new(&service, VERSION);
        let compute = env.compute.clone();
        metrics.gauge("flotilla_compute_waiting", "Computations that wait for a thread", move || {
            i64::try_from(compute.waiting()).unwrap_or(i64::MAX)
        });
        let ends = identity.clone();
        metrics.gauge(
            "flotilla_certificate_expiry_timestamp_seconds",
            "When the service's certificate ends",
            move || ends.expires_at().millis() / 1_000,
        );
        knowledge::measure(&discovery, &metrics);
        let (health, issuer) = (Health::new(), Issuer::default());
        let outbound = Outbound::new(&env, &identity, &trust_domain, &discovery).measured(&metrics);
        let (renewal, log_filter) = (None, None);
        Self {
            service,
            env,
            identity,
            renewal,
            trust_domain,
            issuer,
            metrics,
            log_filter,
            health,
            listeners,
            discovery,
            outbound,
        }
    }

    /// The way to the other services, one for all of this one. It ends with the service.
    pub fn outbound(&self) -> Outbound {
        self.outbound.clone()
    }

    /// The same, whose operators may change what its process logs.
    #[must_use]
    pub fn with_log_filter(self, filter: Option<LogFilter>) -> Self {
        Self { log_filter: filter, ..self }
    }

    /// The same, which calls others on the terms of `callees`. To be said before anybody asks for the way.
    #[must_use]
    pub fn with_callees(self, callees: Callees) -> Self {
        Self { outbound: self.outbound.with_callees(callees), ..self }
    }

    /// The same, on whose requests to others `witness` keeps an eye. To be said before anybody asks for the way.
    #[must_use]
    pub fn watched_by(self, witness: Witness) -> Self {
        Self { outbound: self.outbound.watched_by(witness), ..self }
    }

    /// The same, on which access tokens are from `issuer`.
    #[must_use]
    pub fn with_issuer(self, issuer: Issuer) -> Self {
        Self { issuer, ..self }
    }

    /// The same, whose certificate is renewed while the service runs.
    #[must_use]
    pub fn with_renewal(self, renewal: Renewal) -> Self {
        Self { renewal: Some(renewal), ..self }
    }
}
