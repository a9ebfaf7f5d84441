//! What must hold of the headers whichever version of HTTP brought them.

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPECT, FROM, HOST, HeaderName, IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE, MAX_FORWARDS, ORIGIN, REFERER, USER_AGENT,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use types::ErrorClass;

use super::Kind;
use crate::Problem;
use crate::serve::{LARGEST_HEAD, LONGEST_REQUEST_LINE, MOST_FIELDS, Violation};

/// Headers of one value. Given twice, one reader takes the first and another the last.
const SINGLE: [HeaderName; 20] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    AUTHORIZATION,
    DATE,
    EXPECT,
    FROM,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    MAX_FORWARDS,
    ORIGIN,
    REFERER,
    USER_AGENT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("flotilla-timeout-ms"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-message-type"),
];

/// What is added to a head that is passed on: of whom it comes, from where, how long they wait. The listener behind has
/// the same bounds, and what it refuses costs a connection.
const FIELDS_ADDED: usize = 8;
const BYTES_ADDED: usize = 1_024;

/// Refuses a request whose headers two readers could read differently, or which would be refused where it is passed on.
pub(super) fn check<B>(kind: Kind, passes_on: bool, request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let (fields, bytes) = if passes_on { (FIELDS_ADDED, BYTES_ADDED) } else { (0, 0) };
    measure(request, MOST_FIELDS - fields, LARGEST_HEAD - bytes)?;
    if kind == Kind::Grpc {
        call(request)?;
    }
    if request.method() == Method::CONNECT {
        let problem =
            Problem::new(ErrorClass::Invalid, "this server is no proxy: the method must not be CONNECT");
        return Err(problem.with_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !target(request).bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Violation::Target.problem());
    }
    // HTTP/1's is read where its lines are.
    if headers.get(CONTENT_LENGTH).is_some_and(|length| !is_number(length)) {
        return Err(Violation::ContentLength.problem());
    }
    // Every name once is the usual case, and then there is nothing to look for.
    if headers.len() > headers.keys_len() {
        let doubled = SINGLE.into_iter().find(|name| headers.get_all(name).iter().nth(1).is_some());
        if let Some(name) = doubled {
            return Err(wrong(format!("the header {name} must not be given twice")));
        }
    }
    host(request)
}

/// A call is a POST of gRPC's own type (gRPC over HTTP/2, Requests). Anything else, such as what a browser's form can
/// send, has no effect.
fn call<B>(request: &Request<B>) -> Result<(), Problem> {
    if request.method() != Method::POST {
        let problem = Problem::new(ErrorClass::Invalid, "a gRPC call must be a POST");
        return Err(problem.with_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_grpc =
        kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]));
    if is_grpc {
        return Ok(());
    }
    let problem = Problem::new(ErrorClass::Invalid, "the header content-type must be application/grpc");
    Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// The bounds that HTTP/1 is held to while its bytes arrive. HTTP/2's own limit would answer without a body.
fn measure<B>(request: &Request<B>, most_fields: usize, largest: usize) -> Result<(), Problem> {
    /// What stands around a method and a target, and around a name and a value.
    const LINE: usize = "  HTTP/1.1\r\n".len();
    const FIELD: usize = ": \r\n".len();
    let headers = request.headers();
    if headers.len() > most_fields {
        return Err(Violation::TooManyFields(most_fields).problem());
    }
    let line = request.method().as_str().len() + target(request).len() + LINE;
    if line > LONGEST_REQUEST_LINE {
        return Err(Violation::RequestLineTooLong(LONGEST_REQUEST_LINE).problem());
    }
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    if line + fields.sum::<usize>() > largest {
        return Err(Violation::HeadTooLarge(largest).problem());
    }
    Ok(())
}

fn target<B>(request: &Request<B>) -> &str {
    request.uri().path_and_query().map_or("", PathAndQuery::as_str)
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn host<B>(request: &Request<B>) -> Result<(), Problem> {
    let target = request.uri().authority();
    let header = match request.headers().get(HOST) {
        Some(value) => Some(
            authority(value.as_bytes())
                .ok_or_else(|| wrong("the header host must be a host and at most a port"))?,
        ),
        None => None,
    };
    match (target, header) {
        (Some(target), _) if authority(target.as_str().as_bytes()).is_none() => {
            Err(wrong("the target's authority must be a host and at most a port"))
        }
        (Some(target), Some(header)) if *target != header => {
            Err(wrong("the header host must not contradict the target's authority"))
        }
        (None, None) => Err(wrong("the header host is missing")),
        (Some(_), None) if request.version() < Version::HTTP_2 => Err(wrong("the header host is missing")),
        _ => Ok(()),
    }
}

/// A host, and a port where one is named; no user.
fn authority(text: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(text).ok()?;
    let host = authority.host().len();
    let plain = host > 0 && authority.as_str().starts_with(authority.host());
    let port = authority.as_str().len() == host || authority.port_u16().is_some();
    (plain && port).then_some(authority)
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(ErrorClass::Invalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: Version, target: &str, headers: &[(&str, &str)]) -> String {
        let request = Request::builder().version(version).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        check(Kind::Http, false, &request.body(()).unwrap())
            .err()
            .map_or_else(String::new, |problem| problem.detail().to_owned())
    }

    #[test]
    fn a_request_names_one_host() {
        let missing = "the header host is missing";
        let contradicts = "the header host must not contradict the target's authority";
        let no_host = "the header host must be a host and at most a port";
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        let cases: [(_, _, &[_], _); 17] = [
            (one, "/", &[("host", "a.example:80")], ""),
            (one, "/", &[("host", "[::1]:80")], ""),
            (one, "/", &[], missing),
            (one, "/", &[("host", "")], no_host),
            (one, "/", &[("host", "a b")], no_host),
            (one, "/", &[("host", "a:x")], no_host),
            (one, "/", &[("host", "a:99999")], no_host),
            (one, "/", &[("host", "user@a")], no_host),
            (one, "/", &[("host", "a/b")], no_host),
            (one, "/", &[("host", "a"), ("host", "a")], "the header host must not be given twice"),
            (one, "http://a/", &[("host", "A")], ""),
            (one, "http://a/", &[("host", "b")], contradicts),
            (one, "http://a/", &[], missing),
            (two, "http://a/", &[], ""),
            (two, "http://a/", &[("host", "b")], contradicts),
            (two, "/", &[], missing),
            (two, "http://u@a/", &[], "the target's authority must be a host and at most a port"),
        ];
        for (version, target, headers, expected) in cases {
            assert_eq!(told(version, target, headers), expected, "{version:?} {target} {headers:?}");
        }
    }

    #[test]
    fn what_has_one_value_is_given_once() {
        for name in SINGLE.iter().filter(|name| **name != HOST) {
            let headers = [("host", "a"), (name.as_str(), "1"), ("accept", "b"), (name.as_str(), "1")];
            let expected = format!("the header {name} must not be given twice");
            assert_eq!(told(Version::HTTP_11, "/", &headers), expected);
        }
        let lists = [("host", "a"), ("accept", "1"), ("accept", "2"), ("cookie", "a=1"), ("cookie", "b=2")];
        assert_eq!(told(Version::HTTP_11, "/", &lists), "");
    }
}
