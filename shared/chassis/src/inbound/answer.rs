//! The way out: refusals get their shape, and what was answered is measured.

mod taking;

pub(crate) use self::taking::patient;

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use telemetry::{HttpRequest, Red, RpcCall};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Span;
use types::ErrorClass;

use super::body::{End, UnreadBody};
use super::failures::Failures;
use super::routes::Route;
use super::{Handler, Kind, RequestId, request_id};
use crate::serve::{Busy, Place};
use crate::{Health, Problem};

/// Where a status carries what is more than its code and message.
const DETAILS: &str = "grpc-status-details-bin";

/// The answer as it goes out: every problem in the shape of `kind`, and the request's id on it.
pub(super) fn finished(
    kind: Kind,
    handler: &Handler,
    outcome: Result<Response, Problem>,
    id: &RequestId,
    failures: &Failures,
) -> Response {
    let shaped = |problem: &Problem, response| {
        failures.log(problem);
        shaped((kind, handler), problem, id, response)
    };
    let mut response = match outcome {
        Ok(mut response) => match (response.extensions_mut().remove::<Problem>(), handler) {
            (Some(problem), _) => shaped(&problem, response),
            (None, Handler::Raw(_)) => response,
            (None, Handler::Routes(_)) => match unshaped(kind, &response) {
                Some(problem) => shaped(&problem, response),
                None => {
                    failures.log_status(&response);
                    response
                }
            },
        },
        Err(problem) => shaped(&problem, Response::default()),
    };
    let mut id = id.header();
    // HTTP/2 would remember it, and forget something for it that comes again.
    id.set_sensitive(true);
    response.headers_mut().insert(request_id::HEADER, id);
    response
}

/// The problem of a refusal that none of our code has made.
fn unshaped(kind: Kind, response: &Response) -> Option<Problem> {
    match kind {
        Kind::Http => refused_by_the_router(response),
        Kind::Grpc => refused_by_tonic(response.headers()),
    }
}

/// axum's own extractors refuse in plain text what they cannot read, such as a path that is not UTF-8.
fn refused_by_the_router(response: &Response) -> Option<Problem> {
    let status = response.status();
    let told =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"text/"));
    if told || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let class = if status.is_server_error() { ErrorClass::Internal } else { ErrorClass::Invalid };
    Some(Problem::new(class, "the path, the query or the body cannot be read").with_status(status))
}

/// How tonic begins the statuses by which it refuses, as faults of ours, messages that no handler has seen.
const UNREADABLE: [&str; 5] = [
    "failed to decode Protobuf message",
    "protocol error: received message with",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "compressed flag not set",
];

/// Such a refusal is the caller's mistake. Any other fault without the details that every status of ours has was
/// made past the one translation; nobody knows what its text gives away.
fn refused_by_tonic(headers: &HeaderMap) -> Option<Problem> {
    let unknown = code_in(headers) == Some(Code::Internal.into()) && !headers.contains_key(DETAILS);
    let status = unknown.then(|| Status::from_header_map(headers)).flatten()?;
    let message = status.message().to_owned();
    if UNREADABLE.iter().any(|beginning| message.starts_with(beginning)) {
        let detail = format!("the message must be the method's request: {message}");
        return Some(Problem::new(ErrorClass::Invalid, detail));
    }
    Some(Problem::new(ErrorClass::Internal, message))
}

fn shaped(
    (kind, handler): (Kind, &Handler),
    problem: &Problem,
    id: &RequestId,
    mut response: Response,
) -> Response {
    match kind {
        Kind::Http => {
            let (headers, body) = problem.render(id.as_str());
            *response.status_mut() = problem.status();
            // The router has counted the body that was not there yet.
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().extend(headers);
            // Among ourselves; the public is told by the status alone.
            let is_among_us = matches!(handler, Handler::Routes(_));
            let is_passed_on = service_client::forbids_retry(response.headers());
            if is_among_us && problem.class() == ErrorClass::Unavailable && !is_passed_on {
                service_client::allow_retry(response.headers_mut());
            }
            *response.body_mut() = body;
            response
        }
        Kind::Grpc => {
            let is_passed_on = service_client::forbids_retry(response.headers());
            let mut response = problem.grpc_status().into_http();
            if is_passed_on {
                service_client::forbid_retry(response.headers_mut());
            }
            // Whoever sends what is no call at all does not read gRPC's statuses.
            if [StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNSUPPORTED_MEDIA_TYPE]
                .contains(&problem.status())
            {
                *response.status_mut() = problem.status();
            }
            response
        }
    }
}

/// What HTTP wants of an answer for the request's sake.
pub(super) struct Manners {
    version: Version,
    last: bool,
    head: bool,
    /// Whether a body comes only if it is asked for.
    waits: bool,
    end: End,
}

impl Manners {
    /// While the service drains every request is its connection's last: a client that is told so will not send the
    /// next one into a connection that is being closed.
    pub(super) fn towards(request: &Request<UnreadBody>, place: Place<'_>, health: &Health) -> Self {
        let (version, head) = (request.version(), request.method() == Method::HEAD);
        let last = place != Place::Inner || health.is_draining();
        let waits = request.headers().contains_key(EXPECT);
        Self { version, last, head, waits, end: request.body().end().clone() }
    }

    /// The answer, if its client can tell whether it is whole. Where HTTP/1.0 knows no length the end of the
    /// connection is the end of the body, even of one that broke off.
    pub(super) fn permit(&self, response: Response) -> Result<Response, Problem> {
        let has_length = self.head || response.body().size_hint().exact().is_some();
        if has_length || self.version >= Version::HTTP_11 {
            return Ok(response);
        }
        let detail = "the version must be HTTP/1.1 for an answer whose length is not known before; the request may have taken effect";
        Err(Problem::new(ErrorClass::Unknown, detail).with_status(StatusCode::HTTP_VERSION_NOT_SUPPORTED))
    }

    pub(super) async fn apply(self, response: &mut Response) {
        if self.version < Version::HTTP_2 && !self.last && !self.waits && !self.end.is_read() {
            self.end.reach().await;
        }
        // The rest of a body that nobody reads is not waited for.
        if self.version < Version::HTTP_2 && (self.last || !self.end.is_read()) {
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
    /// Nothing once it has been taken down.
    red: Option<Series>,
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
            red: Some(red),
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
        taking::offered();
        let mut answer = response.map(|body| Answer {
            body,
            rest: Bytes::new(),
            status,
            code,
            measured: Some(self),
            busy: None,
        });
        if answer.body().is_end_stream() {
            answer.body_mut().finish();
        }
        answer
    }

    fn finish(mut self, status: StatusCode, code: Option<i32>) {
        match self.red.take() {
            Some(Series::Http(request)) => request.answered(self.route.pattern(), status),
            // A call that ends without a status is one that its client will not understand either.
            Some(Series::Rpc(call)) => call.answered(code.unwrap_or(Code::Unknown.into())),
            None => {}
        }
        self.span.in_scope(|| {
            let duration_ms = self.started.elapsed().as_secs_f64() * 1_000.0;
            tracing::debug!(method = %self.method, path = self.uri.path(), status = status.as_u16(), duration_ms, "answered");
        });
    }
}

impl Drop for Measured {
    /// Its client has gone. A call says so by itself.
    fn drop(&mut self) {
        if let Some(Series::Http(request)) = self.red.take() {
            request.left(self.route.pattern());
        }
    }
}

/// gRPC's status code, from an answer's headers when it has nothing else, otherwise from its trailers.
fn code_in(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What goes to the client at once. HTTP/2 buffers a piece whole once a client takes a byte of it, out of anybody's
/// sight, and asks for the next one only when the client has room.
const PIECE: usize = 64 * 1024;

/// The body of an answer.
pub(crate) struct Answer {
    body: Body,
    /// What is left of a frame that was larger than a piece.
    rest: Bytes,
    status: StatusCode,
    code: Option<i32>,
    measured: Option<Measured>,
    /// Tells the connection that it is busy.
    busy: Option<Busy>,
}

impl Answer {
    /// The same, and until it has been sent its connection counts as busy.
    pub(crate) fn keeping(self, busy: Busy) -> Self {
        Self { busy: Some(busy), ..self }
    }

    /// What of `frame` goes out now; the rest is kept.
    fn piece(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        frame.map_data(|mut data| {
            self.rest = data.split_off(data.len().min(PIECE));
            data
        })
    }

    fn finish(&mut self) {
        drop(self.busy.take());
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
        let frame = match answer.rest.is_empty() {
            true => Pin::new(&mut answer.body).poll_frame(cx),
            false => Poll::Ready(Some(Ok(Frame::data(mem::take(&mut answer.rest))))),
        };
        let Poll::Ready(frame) = frame else {
            taking::awaited();
            return Poll::Pending;
        };
        taking::offered();
        let frame = frame.map(|frame| frame.map(|frame| answer.piece(frame)));
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() => {
                answer.code = frame.trailers_ref().and_then(code_in);
                answer.finish();
            }
            // hyper asks no further once the body says that it has ended.
            Some(Ok(_)) if !answer.is_end_stream() => {}
            Some(Ok(_)) | None => answer.finish(),
            // It is measured as one whose client went away, since no client gets the rest of it.
            Some(Err(_)) => answer.measured = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
