//! Who may call: the allow table is asked with the caller's identity before anything else is done.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::{Either, Ready, ready};
use http::Request;
use service_auth::{AllowTable, Peer, TrustDomain};
use telemetry::Metrics;
use telemetry::metrics::{Counter, Family};
use tower::{Layer, Service};
use types::ErrorClass;

use crate::Problem;

/// The row that stands for the whole edge API, which has no gRPC methods.
const EDGE: &str = "/flotilla.edge.Api/*";

/// A service that only those may call whom the table names.
#[derive(Clone, Debug)]
pub(crate) struct Authorised<S> {
    gate: Gate,
    inner: S,
}

/// The decision, which every connection shares.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    allow: Arc<AllowTable>,
    speech: Speech,
    refused: Family<Vec<(&'static str, String)>, Counter>,
}

/// How the listener's callers are spoken to.
#[derive(Clone, Copy, Debug)]
enum Speech {
    Grpc,
    Http,
}

impl Gate {
    /// For a listener of gRPC: each method by its row.
    pub(crate) fn grpc(allow: AllowTable, metrics: &Metrics) -> Self {
        Self::new(allow, Speech::Grpc, metrics)
    }

    /// For a listener of the edge API: all of it is the gateway's to call, and the operators' to look at.
    pub(crate) fn edge(trust_domain: &TrustDomain, metrics: &Metrics) -> Self {
        let allow = AllowTable::new(trust_domain).allow(EDGE, &["api-gateway", "operator"]);
        Self::new(allow, Speech::Http, metrics)
    }

    fn new(allow: AllowTable, speech: Speech, metrics: &Metrics) -> Self {
        let help = "Calls refused because of who called";
        let refused = metrics.register("flotilla_calls_refused", help, Family::default());
        Self { allow: Arc::new(allow), speech, refused }
    }

    /// The refusal, where there is one.
    fn refusal<B>(&self, request: &Request<B>) -> Option<Response> {
        let path = match self.speech {
            Speech::Grpc => request.uri().path(),
            Speech::Http => EDGE,
        };
        let peer = request.extensions().get::<Peer>();
        if peer.is_some_and(|Peer(id)| self.allow.permits(path, id)) {
            return None;
        }
        let caller = peer.map_or("nobody", |Peer(id)| id.as_str());
        // The label is a row of the table, or callers could make up as many series as they like.
        let method = if self.allow.rows().any(|(row, _)| row == path) { path } else { "_OTHER" };
        self.refused.get_or_create(&vec![("method", method.to_owned())]).inc();
        tracing::warn!(path, caller, "call refused");
        Some(self.speech.refuse(request.uri().path(), caller))
    }
}

impl<S> Layer<S> for Gate {
    type Service = Authorised<S>;

    fn layer(&self, inner: S) -> Authorised<S> {
        Authorised { gate: self.clone(), inner }
    }
}

impl Speech {
    fn refuse(self, path: &str, caller: &str) -> Response {
        let detail = format!("{caller} may not call {path}");
        match self {
            Self::Grpc => proto::status::of(ErrorClass::Forbidden, &detail, &[]).into_http(),
            Self::Http => Problem::new(ErrorClass::Forbidden, detail).into_response(),
        }
    }
}

impl<S, B> Service<Request<B>> for Authorised<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<S::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.gate.refusal(&request) {
            Some(refusal) => Either::Left(ready(Ok(refusal))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::StatusCode;
    use service_auth::SpiffeId;
    use tower::{ServiceExt as _, service_fn};
    use types::ServiceName;

    use super::*;

    async fn call(gate: &Gate, path: &str, caller: Option<&str>) -> Response {
        let service =
            gate.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::default())));
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        if let Some(caller) = caller {
            request.extensions_mut().insert(Peer(caller.parse().unwrap()));
        }
        service.oneshot(request).await.unwrap()
    }

    fn metrics() -> Metrics {
        Metrics::new(&ServiceName::new("shop"), "1")
    }

    #[tokio::test]
    async fn a_method_is_refused_by_naming_it_and_its_caller_and_is_counted() {
        let (domain, metrics) = (TrustDomain::default(), metrics());
        let gate = Gate::grpc(AllowTable::new(&domain).allow("/shop.Shop/Buy", &["auth-service"]), &metrics);
        let auth = SpiffeId::service(&domain, &ServiceName::new("auth-service"));
        let permitted = call(&gate, "/shop.Shop/Buy", Some(auth.as_str())).await;
        assert!(permitted.headers().get("grpc-status").is_none());
        let other = "spiffe://flotilla.internal/service/other";
        for (path, caller, named) in [
            ("/shop.Shop/Buy", Some(other), other),
            ("/shop.Shop/Sell", Some(auth.as_str()), auth.as_str()),
            ("/shop.Shop/Buy", None, "nobody"),
        ] {
            let refused = call(&gate, path, caller).await;
            let status = tonic::Status::from_header_map(refused.headers()).unwrap();
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
            assert_eq!(status.message(), format!("{named} may not call {path}"));
        }
        let text = metrics.render();
        assert!(text.contains(r#"method="/shop.Shop/Buy"} 2"#), "{text}");
        assert!(text.contains(r#"method="_OTHER"} 1"#), "{text}");
    }

    #[tokio::test]
    async fn the_edge_api_is_the_gateways_alone() {
        let gate = Gate::edge(&TrustDomain::default(), &metrics());
        let gateway = "spiffe://flotilla.internal/service/api-gateway";
        assert_eq!(call(&gate, "/users/me", Some(gateway)).await.status(), StatusCode::OK);
        let other = "spiffe://flotilla.internal/service/auth-service";
        for caller in [Some(other), None] {
            assert_eq!(call(&gate, "/users/me", caller).await.status(), StatusCode::FORBIDDEN);
        }
    }
}
