//! The way out: refusals get their shape, and what was answered is measured.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use telemetry::{HttpRequest, Red, RpcCall};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Span;
use types::ErrorClass;

use super::routes::Route;
use super::{Kind, RequestId, request_id};
use crate::Problem;
use crate::serve::Place;

/// The answer as it goes out: every problem in the shape of `kind`, and the request's id on it.
pub(super) fn finished(kind: Kind, outcome: Result<Response, Problem>, id: &RequestId) -> Response {
    let mut response = match outcome {
        Ok(mut response) => match response.extensions_mut().remove::<Problem>() {
            Some(problem) => shaped(kind, &problem, id, response),
            None => match malformed(kind, response.headers()) {
                Some(problem) => shaped(kind, &problem, id, response),
                None => response,
            },
        },
        Err(problem) => shaped(kind, &problem, id, Response::default()),
    };
    response.headers_mut().insert(request_id::HEADER, id.header());
    response
}

/// A message that is no protobuf, or a frame that is none, tonic refuses as a fault of ours, before any handler.
/// Such a refusal lacks the details that every status of ours has.
fn malformed(kind: Kind, headers: &HeaderMap) -> Option<Problem> {
    let is_tonics = kind == Kind::Grpc
        && code_in(headers) == Some(Code::Internal.into())
        && !headers.contains_key("grpc-status-details-bin");
    let status = is_tonics.then(|| Status::from_header_map(headers)).flatten()?;
    Some(Problem::new(
        ErrorClass::Invalid,
        format!("the message must be the method's request: {}", status.message()),
    ))
}

fn shaped(kind: Kind, problem: &Problem, id: &RequestId, mut response: Response) -> Response {
    log(problem);
    match kind {
        Kind::Http => {
            let (headers, body) = problem.render(id.as_str());
            *response.status_mut() = problem.status();
            // The router has counted the body that was not there yet.
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().extend(headers);
            *response.body_mut() = body;
            response
        }
        Kind::Grpc => proto::status::of(problem.class(), problem.detail(), problem.errors()).into_http(),
    }
}

/// Only what somebody here has to look into; the caller's own mistakes are told to the caller.
fn log(problem: &Problem) {
    if !problem.status().is_server_error() {
        return;
    }
    let (class, detail) = (problem.class().as_str(), problem.detail());
    let cause = problem.cause().map(chain).unwrap_or_default();
    match problem.class() {
        ErrorClass::Internal => tracing::error!(class, detail, cause, "request failed"),
        _ => tracing::warn!(class, detail, cause, "request failed"),
    }
}

/// What brought the error about; its own text is the problem's detail.
fn chain(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What HTTP wants of an answer for the request's sake.
pub(super) struct Manners {
    version: Version,
    last: bool,
    head: bool,
}

impl Manners {
    pub(super) fn towards<B>(request: &Request<B>, place: Place<'_>) -> Self {
        let (version, head) = (request.version(), request.method() == Method::HEAD);
        Self { version, last: place != Place::Inner, head }
    }

    pub(super) fn apply(self, response: &mut Response) {
        // The rest of a body that is too large or too slow is not waited for.
        let unread =
            [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT].contains(&response.status());
        if self.version < Version::HTTP_2 && (self.last || unread) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // To an answer of a later version than its request hyper would add that the connection stays open.
        *response.version_mut() = self.version;
        if self.head {
            *response.body_mut() = Body::empty();
        }
    }
}

/// A request that is being answered.
pub(super) struct Measured {
    red: Series,
    route: Route,
    method: Method,
    uri: Uri,
    started: Instant,
    span: Span,
}

enum Series {
    Http(HttpRequest),
    Rpc(RpcCall),
}

impl Measured {
    pub(super) fn begin<B>(kind: Kind, red: &Red, request: &Request<B>, span: Span) -> Self {
        let path = request.uri().path();
        let red = match kind {
            Kind::Http => Series::Http(red.http(request.method())),
            Kind::Grpc => Series::Rpc(red.rpc(path)),
        };
        Self {
            red,
            route: Route::default(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            span,
        }
    }

    /// Where the router tells which route matched.
    pub(super) fn route(&self) -> Route {
        self.route.clone()
    }

    /// The answer, measured until its last byte.
    pub(super) fn answered(self, response: Response) -> Response<Answer> {
        let (status, code) = (response.status(), code_in(response.headers()));
        let mut answer = response.map(|body| Answer { body, status, code, measured: Some(self) });
        if answer.body().is_end_stream() {
            answer.body_mut().finish();
        }
        answer
    }

    fn finish(self, status: StatusCode, code: Option<i32>) {
        match self.red {
            Series::Http(request) => request.answered(self.route.pattern(), status),
            // A call that ends without a status is one that its client will not understand either.
            Series::Rpc(call) => call.answered(code.unwrap_or(Code::Unknown.into())),
        }
        self.span.in_scope(|| {
            let duration_ms = self.started.elapsed().as_secs_f64() * 1_000.0;
            tracing::debug!(method = %self.method, path = self.uri.path(), status = status.as_u16(), duration_ms, "answered");
        });
    }
}

/// gRPC's status code, from an answer's headers when it has nothing else, otherwise from its trailers.
fn code_in(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The body of an answer.
pub(crate) struct Answer {
    body: Body,
    status: StatusCode,
    code: Option<i32>,
    measured: Option<Measured>,
}

impl Answer {
    fn finish(&mut self) {
        if let Some(measured) = self.measured.take() {
            measured.finish(self.status, self.code);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let answer = self.get_mut();
        let frame = ready!(Pin::new(&mut answer.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() => {
                answer.code = frame.trailers_ref().and_then(code_in);
                answer.finish();
            }
            // hyper asks no further once the body says that it has ended.
            Some(Ok(_)) if !answer.body.is_end_stream() => {}
            Some(Ok(_)) | None => answer.finish(),
            // It is measured as one whose client went away, since no client gets the rest of it.
            Some(Err(_)) => answer.measured = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
