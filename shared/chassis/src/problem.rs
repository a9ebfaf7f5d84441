//! The one translation of an error to HTTP: problem details (RFC 9457).

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use resilience::{RetryAfter, Shed};
use runtime::ComputeError;
use serde::Serialize;
use service_auth::TokenError;
use tonic::Status;
use types::{Classify, ErrorClass, FieldError};

/// Why a request was not answered as asked.
///
/// A handler returns it like any response. It has no body yet: the inbound stack writes that on the way out,
/// because only there is the request's id known, which is the problem's `instance`.
#[derive(Clone, Debug)]
pub struct Problem {
    class: ErrorClass,
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    challenge: &'static str,
    retry_after: u64,
    cause: Option<Arc<dyn Error + Send + Sync>>,
    /// Whether it is the service that calls who may not, whatever the user may.
    refuses_caller: bool,
}

/// What a 401 asks for (RFC 6750, section 3): a token, or another one.
const TOKEN_WANTED: &str = "Bearer";
const OTHER_TOKEN_WANTED: &str = r#"Bearer error="invalid_token""#;

/// Seconds: long enough to pass a short disturbance and short enough to go unnoticed.
const SOON: u64 = 1;

impl Problem {
    /// A problem of `class`. `detail` is for the person who sent the request.
    pub fn new(class: ErrorClass, detail: impl Into<Cow<'static, str>>) -> Self {
        let (status, _) = status_and_title(class);
        Self {
            class,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            challenge: TOKEN_WANTED,
            retry_after: SOON,
            cause: None,
            refuses_caller: false,
        }
    }

    /// The service that calls may not do so, whatever the user may.
    pub(crate) fn of_refused_caller(detail: String) -> Self {
        Self { refuses_caller: true, ..Self::new(ErrorClass::Forbidden, detail) }
    }

    /// A request has no access token, and needs one.
    pub fn no_token() -> Self {
        Self::new(ErrorClass::Unauthenticated, "an access token is required")
    }

    /// A request has an access token that is not taken.
    pub fn bad_token(error: TokenError) -> Self {
        let problem = Self::new(error.class(), format!("the access token {error}"));
        Self { challenge: OTHER_TOKEN_WANTED, cause: Some(Arc::new(error)), ..problem }
    }

    /// Fields of the request are wrong.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        Self::new(ErrorClass::Invalid, "the request has wrong fields").with_fields(errors)
    }

    /// The same, naming the fields that are wrong.
    #[must_use]
    pub fn with_fields(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The same under a status of HTTP's own that is narrower than the class's, such as 405 for `Invalid`.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// What it means to the caller.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// The same, with how long to wait before another try, in whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = seconds;
        self
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The status that tells it over gRPC.
    pub(crate) fn grpc_status(&self) -> Status {
        if self.refuses_caller {
            return proto::status::of_refused_caller(&self.detail);
        }
        let after = Duration::from_secs(self.retry_after);
        match self.class {
            ErrorClass::Unavailable if self.is_of_overload() => {
                proto::status::of_overload(&self.detail, after)
            }
            ErrorClass::Unavailable | ErrorClass::TooMany => {
                proto::status::of_not_now(self.class, &self.detail, after)
            }
            _ => proto::status::of(self.class, &self.detail, &self.errors),
        }
    }

    /// What brought it about, for the log alone.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// Whether it is that there was too much to do, here or where this needed something.
    pub(crate) fn is_of_overload(&self) -> bool {
        self.cause.as_deref().is_some_and(|cause| is_overload(cause))
    }

    /// The headers and the body that tell it; `instance` is the request's id.
    pub(crate) fn render(&self, instance: &str) -> (HeaderMap, Body) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.class {
            ErrorClass::Unavailable | ErrorClass::TooMany => {
                headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after));
            }
            // RFC 9110, section 15.5.2: a 401 must say how to authenticate.
            ErrorClass::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
            }
            _ => {}
        }
        let json = serde_json::to_vec(&self.members(instance)).expect("texts and a number are always JSON");
        (headers, Body::from(json))
    }

    fn members<'a>(&'a self, instance: &'a str) -> Members<'a> {
        let shown = self.class != ErrorClass::Internal;
        Members {
            kind: type_of(self.class),
            title: status_and_title(self.class).1,
            status: self.status.as_u16(),
            detail: shown.then_some(&*self.detail),
            instance,
            errors: if shown { self.errors.iter().map(Member::from).collect() } else { Vec::new() },
        }
    }
}

/// The table. `Unknown` is 504: of all statuses it alone says that somebody else may yet have done it.
const fn status_and_title(class: ErrorClass) -> (StatusCode, &'static str) {
    match class {
        ErrorClass::Invalid => (StatusCode::BAD_REQUEST, "The request is wrong"),
        ErrorClass::Unauthenticated => (StatusCode::UNAUTHORIZED, "The caller is not known"),
        ErrorClass::Forbidden => (StatusCode::FORBIDDEN, "The caller may not do this"),
        ErrorClass::NotFound => (StatusCode::NOT_FOUND, "There is no such thing"),
        ErrorClass::Conflict => (StatusCode::CONFLICT, "It contradicts what is there"),
        ErrorClass::Precondition => (StatusCode::PRECONDITION_FAILED, "It has changed since it was read"),
        ErrorClass::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
        ErrorClass::TooMany => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        ErrorClass::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not now; it did not happen"),
        ErrorClass::Unknown => (StatusCode::GATEWAY_TIMEOUT, "It may have happened"),
        ErrorClass::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours"),
    }
}

/// A URN and not an address: it identifies a class and promises no page.
const fn type_of(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Invalid => "urn:flotilla:problem:invalid",
        ErrorClass::Unauthenticated => "urn:flotilla:problem:unauthenticated",
        ErrorClass::Forbidden => "urn:flotilla:problem:forbidden",
        ErrorClass::NotFound => "urn:flotilla:problem:not-found",
        ErrorClass::Conflict => "urn:flotilla:problem:conflict",
        ErrorClass::Precondition => "urn:flotilla:problem:precondition",
        ErrorClass::TooLarge => "urn:flotilla:problem:too-large",
        ErrorClass::TooMany => "urn:flotilla:problem:too-many",
        ErrorClass::Unavailable => "urn:flotilla:problem:unavailable",
        ErrorClass::Unknown => "urn:flotilla:problem:unknown",
        ErrorClass::Internal => "urn:flotilla:problem:internal",
    }
}

/// An error that classifies itself becomes a problem by `?`; its text is the detail, its sources go to the log.
/// Whether `error`, or what brought it about, is that there was too much to do.
pub(crate) fn is_overload(error: &(dyn Error + 'static)) -> bool {
    let mut sources = std::iter::successors(Some(error), |&error| error.source());
    sources.any(|error| error.is::<Shed>() || error.downcast_ref() == Some(&ComputeError::Overloaded))
}

impl<E: Classify + Send + Sync + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        let problem = Self::new(error.class(), error.to_string());
        let retry_after = error.retry_after().map_or(SOON, |after| RetryAfter(after).seconds().max(SOON));
        Self { cause: Some(Arc::new(error)), retry_after, ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct Members<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    instance: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    pointer: &'a str,
    detail: &'a str,
}

impl<'a> From<&'a FieldError> for Member<'a> {
    fn from(error: &'a FieldError) -> Self {
        Self { pointer: cut(&error.pointer), detail: cut(&error.detail) }
    }
}

/// The beginning of a text that may be the caller's own, such as a field's name: an answer repeats no megabytes.
fn cut(text: &str) -> &str {
    const LONGEST: usize = 512;
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problem: &Problem) -> String {
        serde_json::to_string(&problem.members("7")).unwrap()
    }

    #[test]
    fn every_class_has_its_status_type_and_title() {
        let table = ErrorClass::ALL.map(|class| told(&Problem::new(class, "why"))).join("\n");
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_wrong_fields_are_named() {
        let errors = vec![FieldError::of("email", "must be an e-mail address")];
        insta::assert_snapshot!(told(&Problem::fields(errors)), @r#"{"type":"urn:flotilla:problem:invalid","title":"The request is wrong","status":400,"detail":"the request has wrong fields","instance":"7","errors":[{"pointer":"/email","detail":"must be an e-mail address"}]}"#);
    }

    #[test]
    fn what_the_caller_wrote_is_not_repeated_at_length() {
        let errors = vec![FieldError::of(&"é".repeat(10_000), "is not known here")];
        assert!(told(&Problem::fields(errors)).len() < 1_000);
    }

    #[test]
    fn the_caller_learns_nothing_of_a_fault_of_ours() {
        let errors = vec![FieldError::of("email", "column missing")];
        let fault = Problem::new(ErrorClass::Internal, "relation users is missing").with_fields(errors);
        insta::assert_snapshot!(told(&fault), @r#"{"type":"urn:flotilla:problem:internal","title":"A fault of ours","status":500,"instance":"7"}"#);
    }

    #[test]
    fn a_refusal_for_now_says_when_to_come_back_and_one_for_want_of_identity_how_to_give_it() {
        let header = |class, name| Problem::new(class, "").render("7").0.get(name).cloned();
        let second = Some(HeaderValue::from_static("1"));
        assert_eq!(header(ErrorClass::Unavailable, RETRY_AFTER), second);
        assert_eq!(header(ErrorClass::TooMany, RETRY_AFTER), second);
        assert_eq!(header(ErrorClass::Unknown, RETRY_AFTER), None);
        assert_eq!(
            header(ErrorClass::Unauthenticated, WWW_AUTHENTICATE),
            Some(HeaderValue::from_static("Bearer"))
        );
    }

    #[test]
    fn an_error_that_knows_when_to_come_back_says_so_in_whole_seconds_over_both() {
        for (millis, seconds) in [(0, 1), (1, 1), (59_200, 60)] {
            let open = resilience::Open { retry_after: Duration::from_millis(millis) };
            let problem = Problem::from(open);
            assert_eq!(problem.render("7").0[RETRY_AFTER], seconds.to_string());
            let told = proto::status::retry_after(&problem.grpc_status());
            assert_eq!(told, Some(Duration::from_secs(seconds)));
        }
    }
}
