//! What happens to a request from outside.
//!
//! In this order, each where it stands for a reason:
//! 1. *limit by address*: before anything is done for somebody nobody knows;
//! 2. *path and route*: what is not there needs no token;
//! 3. *token, then revocations*: who asks, and whether they still may;
//! 4. *limit by user*: once it is known whose request it is;
//! 5. *room at the service*: what that would refuse goes no further;
//! 6. *what its address has under way*: from here on it takes up a service, for as long as its client likes;
//! 7. *headers*: what a service is told of the request and of its origin;
//! 8. *the service*, with the route's time until its answer begins. The body follows as it comes, up to its size.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use chassis::{Access, Arrival, Caller, Health, Problem, RawHandler, UserTokens};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use resilience::Priority;
use runtime::Deadline;
use service_auth::TokenError;
use types::ErrorClass;

use crate::client::{self, Client, Proxies};
use crate::headers::{self, Origin};
use crate::health::{self, Neighbours};
use crate::limits::Limits;
use crate::path;
use crate::revocations::Revocations;
use crate::routes::{Route, Routes};
use crate::upstream::Upstream;

/// The way from the public to the services.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) routes: Routes,
    /// In the order of the routes.
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) tokens: UserTokens,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) limits: Limits,
    pub(crate) proxies: Proxies,
    pub(crate) scheme: HeaderValue,
    pub(crate) health: Health,
    pub(crate) neighbours: Arc<Neighbours>,
    /// The name of [`health::PATH`] among the routes.
    pub(crate) health_route: Arc<str>,
    /// Where a route says nothing.
    pub(crate) timeout: Duration,
    pub(crate) largest_body: usize,
}

impl Gateway {
    /// What a listener asks for its answers.
    pub(crate) fn handler(self) -> RawHandler {
        let gateway = Arc::new(self);
        let answering = Arc::clone(&gateway);
        let handler = RawHandler::new(move |arrival| {
            let gateway = Arc::clone(&answering);
            async move { gateway.answer(arrival).await }
        });
        handler.with_priority(move |head| gateway.priority(head.uri.path()))
    }

    fn priority(&self, path: &str) -> Priority {
        let is_operators = self.routes.find(path).is_some_and(|(_, route)| route.access == Access::Operators);
        if path == health::PATH || is_operators { Priority::Operators } else { Priority::Users }
    }

    async fn answer(&self, arrival: Arrival) -> Result<Response, Problem> {
        let client = self.proxies.client(arrival.addr, &arrival.head.headers);
        self.limits.check_address(client)?;
        let path = arrival.head.uri.path();
        if path == health::PATH {
            arrival.matched(&self.health_route);
            return Ok(self.neighbours.tell(&self.health, &arrival.head.method));
        }
        path::check(path)?;
        let (number, route) = self.routes.find(path).ok_or_else(nothing)?;
        arrival.matched(&route.prefix);
        let deadline = Deadline::within(route.timeout.unwrap_or(self.timeout));
        self.admit(route.access, &arrival.head.headers, client, deadline).await?;
        arrival.pass_on()?;
        self.pass(route, &self.upstreams[number], arrival, client, deadline).await
    }

    async fn admit(
        &self,
        access: Access,
        headers: &HeaderMap,
        client: Client,
        deadline: Deadline,
    ) -> Result<(), Problem> {
        if access == Access::Anybody {
            return Ok(());
        }
        let claims = self.tokens.check(headers, deadline).await?;
        if !self.revocations.are_known() {
            return Err(unheard());
        }
        if self.revocations.concern(&claims) {
            return Err(Problem::bad_token(TokenError::Revoked));
        }
        self.limits.check_user(client, claims.user)?;
        if access == Access::Operators { Caller::from(&*claims).must_be_operator() } else { Ok(()) }
    }

    async fn pass(
        &self,
        route: &Route,
        upstream: &Upstream,
        arrival: Arrival,
        client: Client,
        deadline: Deadline,
    ) -> Result<Response, Problem> {
        let entered = self.limits.enter(client)?;
        let Arrival { mut head, body, id, trace, .. } = arrival;
        headers::strip_request(&mut head.headers);
        headers::join_cookies(&mut head.headers);
        if route.access == Access::Anybody {
            head.headers.remove(AUTHORIZATION);
        }
        Origin { address: client::header(client.address), scheme: self.scheme.clone() }.tell(&mut head);
        trace.inject(&mut head.headers);
        head.headers.insert(REQUEST_ID, id.header());
        let body = body.within(route.largest_body.unwrap_or(self.largest_body))?;
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) =
            (head.method, head.uri, head.headers);
        upstream.pass(request, deadline, entered).await
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn unheard() -> Problem {
    let detail = "the access token cannot be checked yet: what was revoked is not known";
    Problem::new(ErrorClass::Unavailable, detail)
}

fn nothing() -> Problem {
    Problem::new(ErrorClass::NotFound, "there is nothing at this path")
}
