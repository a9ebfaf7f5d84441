//! Who may call: the allow table is asked with the caller's identity before anything else is done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service_auth::{AllowTable, Peer, TrustDomain};
use telemetry::Metrics;
use telemetry::metrics::{Counter, Family, Labels};
use tokio::time::Instant;

use crate::Problem;

/// The row that stands for the whole edge API, which has no gRPC methods.
const EDGE: &str = "/flotilla.edge.Api/*";

/// What no row is about. Its name is whatever the caller wrote.
const OTHER: &str = "_OTHER";

/// Longer than any method's path: a longer one was made up, and a log line is no place for all of it.
const LONGEST_SHOWN: usize = 256;

/// Decides who may call what a listener answers. Clones are the same.
#[derive(Clone, Debug)]
pub struct Gate(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Open,
    /// Each method by its row.
    Methods(Guard),
    /// All of it by the one row [`EDGE`].
    Whole(Guard),
}

#[derive(Clone, Debug)]
struct Guard {
    allow: Arc<AllowTable>,
    refused: Family<Labels<1>, Counter>,
    last_warning: Arc<Mutex<Option<Instant>>>,
}

/// One warning tells operators to look, and the metric how often it was: a peer must not fill the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

impl Gate {
    /// For a listener that anybody may ask, such as for health.
    pub const OPEN: Self = Self(Rule::Open);

    /// For a listener of gRPC: each method by its row.
    pub fn methods(allow: AllowTable, metrics: &Metrics) -> Self {
        Self(Rule::Methods(Guard::new(allow, metrics)))
    }

    /// For a listener of the edge API: all of it is the gateway's to call, and the operators' to look at.
    pub fn edge(trust_domain: &TrustDomain, metrics: &Metrics) -> Self {
        let allow = AllowTable::new(trust_domain).allow(EDGE, &["api-gateway", "operator"]);
        Self(Rule::Whole(Guard::new(allow, metrics)))
    }

    /// Lets `peer` call `path`, or not.
    ///
    /// # Errors
    /// `Forbidden`, and it is counted and logged.
    pub(crate) fn admit(&self, path: &str, peer: Option<&Peer>) -> Result<(), Problem> {
        match &self.0 {
            Rule::Open => Ok(()),
            Rule::Methods(guard) => guard.admit(path, path, peer),
            Rule::Whole(guard) => guard.admit(EDGE, path, peer),
        }
    }
}

impl Guard {
    fn new(allow: AllowTable, metrics: &Metrics) -> Self {
        let help = "Calls refused because of who called";
        let refused = metrics.register("flotilla_calls_refused", help, Family::default());
        Self { allow: Arc::new(allow), refused, last_warning: Arc::default() }
    }

    fn is_due(&self) -> bool {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= BETWEEN_WARNINGS);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }

    fn admit(&self, method: &str, path: &str, peer: Option<&Peer>) -> Result<(), Problem> {
        if peer.is_some_and(|Peer(id)| self.allow.permits(method, id)) {
            return Ok(());
        }
        let caller = peer.map_or("nobody", |Peer(id)| id.as_str());
        // The label is a row of the table, or callers could make up as many series as they like.
        self.refused.get_or_create(&[("method", self.allow.row(method).unwrap_or(OTHER))]).inc();
        let path = &path[..path.floor_char_boundary(LONGEST_SHOWN)];
        if self.is_due() {
            tracing::warn!(path, caller, "call refused");
        } else {
            tracing::debug!(path, caller, "call refused");
        }
        Err(Problem::of_refused_caller(format!("{caller} may not call {path}")))
    }
}

#[cfg(test)]
mod tests {
    use service_auth::SpiffeId;
    use types::{ErrorClass, ServiceName};

    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&ServiceName::new("shop"), "1")
    }

    fn told(gate: &Gate, path: &str, caller: Option<&str>) -> Result<(), (ErrorClass, String)> {
        let peer = caller.map(|caller| Peer(caller.parse().unwrap()));
        gate.admit(path, peer.as_ref()).map_err(|problem| (problem.class(), problem.detail().to_owned()))
    }

    #[tokio::test]
    async fn a_method_is_refused_by_naming_it_and_its_caller_and_is_counted_under_its_row() {
        let (domain, metrics) = (TrustDomain::default(), metrics());
        let allow = AllowTable::new(&domain)
            .allow("/shop.Shop/Buy", &["auth-service"])
            .allow("/shop.Store/*", &["auth-service"]);
        let gate = Gate::methods(allow, &metrics);
        let auth = SpiffeId::service(&domain, &ServiceName::new("auth-service"));
        for path in ["/shop.Shop/Buy", "/shop.Store/Open"] {
            assert_eq!(told(&gate, path, Some(auth.as_str())), Ok(()));
        }
        let other = "spiffe://flotilla.internal/service/other";
        for (path, caller, named) in [
            ("/shop.Shop/Buy", Some(other), other),
            ("/shop.Shop/Sell", Some(auth.as_str()), auth.as_str()),
            ("/shop.Store/Open", Some(other), other),
            ("/shop.Shop/Buy", None, "nobody"),
        ] {
            let refused = (ErrorClass::Forbidden, format!("{named} may not call {path}"));
            assert_eq!(told(&gate, path, caller), Err(refused));
        }
        let text = metrics.render();
        assert!(text.contains(r#"method="/shop.Shop/Buy"} 2"#), "{text}");
        assert!(text.contains(r#"method="/shop.Store/*"} 1"#), "{text}");
        assert!(text.contains(r#"method="_OTHER"} 1"#), "{text}");
    }

    #[tokio::test]
    async fn the_edge_api_is_the_gateways_alone() {
        let gate = Gate::edge(&TrustDomain::default(), &metrics());
        let gateway = "spiffe://flotilla.internal/service/api-gateway";
        assert_eq!(told(&gate, "/users/me", Some(gateway)), Ok(()));
        for caller in [Some("spiffe://flotilla.internal/service/auth-service"), None] {
            let (class, _) = told(&gate, "/users/me", caller).unwrap_err();
            assert_eq!(class, ErrorClass::Forbidden);
        }
    }
}
