//! What of a message's headers goes on to the other side.
//!
//! From outside, a service is told nothing but what the request itself is: not who somebody is, where they are, how
//! long they wait or which path is meant, as far as such headers are known. No service of ours believes one; what stays
//! outside cannot be believed by one that is added later either.

use http::header::{CONNECTION, COOKIE, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers of one connection (RFC 9110, section 7.6.1), and those of older proxies.
const OF_A_CONNECTION: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The other headers that are for the gateway: what is awaited of the next hop, the trace, and other ways to tell the
/// client's address, the method or the path.
const FOR_THE_GATEWAY: [&str; 17] = [
    "baggage",
    "cf-connecting-ip",
    "expect",
    "forwarded",
    "http2-settings",
    "traceparent",
    "tracestate",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-request-id",
    "x-rewrite-url",
];

/// How headers begin that are set within the platform or by what stands before it.
const BEGINNINGS: [&str; 9] = [
    "cf-access-",
    "flotilla-",
    "grpc-",
    "remote-",
    "ssl-client-",
    "x-envoy-",
    "x-forwarded-",
    "x-real-",
    "x-scope-",
];

/// What follows `x-` in headers by which proxies tell who somebody is.
const IDENTITIES: [&str; 27] = [
    "account",
    "actor",
    "admin",
    "amzn-oidc-",
    "auth",
    "caller",
    "claim",
    "client-cert",
    "consumer",
    "credential",
    "customer",
    "goog-authenticated-",
    "identity",
    "jwt",
    "ms-client-principal",
    "operator",
    "peer",
    "principal",
    "remote-",
    "role",
    "session",
    "spiffe",
    "ssl-",
    "subject",
    "tenant",
    "user",
    "webauth",
];

/// Takes out of a request's headers what is not for a service.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip(headers, is_kept_outside);
}

/// Takes out of an answer's headers what is not for a client.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, |name| {
        OF_A_CONNECTION.contains(&name) || name.starts_with("flotilla-") || name.starts_with("grpc-")
    });
}

/// From whom a request comes, as it is told to a service.
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) address: HeaderValue,
    /// `http` or `https`.
    pub(crate) scheme: HeaderValue,
}

impl Origin {
    /// Tells it, and the name by which the client knows the platform.
    pub(crate) fn tell(self, head: &mut Parts) {
        let headers = &mut head.headers;
        let host = headers.remove(HOST).or_else(|| head.uri.authority().and_then(host_of));
        headers.insert(FORWARDED_FOR, self.address);
        headers.insert(FORWARDED_PROTO, self.scheme);
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
    }
}

fn host_of(authority: &Authority) -> Option<HeaderValue> {
    HeaderValue::from_str(authority.as_str()).ok()
}

/// HTTP/2 lets a client send its cookies one by one, which HTTP/1.1 does not (RFC 9113, section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for cookie in std::iter::once(second).chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(cookie.as_bytes());
        }
        let joined = HeaderValue::from_bytes(&joined).expect("values with `; ` between them are a value");
        headers.insert(COOKIE, joined);
    }
}

/// Takes out the headers whose names `is_out` finds, and those that the message says are of its connection alone.
fn strip(headers: &mut HeaderMap, is_out: impl Fn(&str) -> bool) {
    let listed =
        headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let listed = listed.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    let out = headers.keys().filter(|name| is_out(name.as_str())).cloned();
    // Nothing is allocated where there is nothing to take out.
    for name in listed.chain(out).collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Whether a header of this name, which is in lower case, is not for a service.
fn is_kept_outside(name: &str) -> bool {
    // Some readers take the one for the other; nobody who means well needs it.
    name.contains('_')
        || OF_A_CONNECTION.contains(&name)
        || FOR_THE_GATEWAY.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || name
            .strip_prefix("x-")
            .is_some_and(|rest| IDENTITIES.iter().any(|identity| rest.starts_with(identity)))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    /// What is left, sorted.
    fn left(headers: &HeaderMap) -> Vec<String> {
        let mut left: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        left.sort();
        left
    }

    #[test]
    fn what_the_request_is_goes_on() {
        let fields = [
            ("accept-encoding", "gzip"),
            ("accept", "*/*"),
            ("authorization", "Bearer abc"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("cookie", "a=b"),
            ("idempotency-key", "7"),
            ("if-match", "\"1\""),
            ("prefer", "wait=5"),
            ("range", "bytes=0-1"),
            ("user-agent", "curl"),
            ("x-requested-with", "XMLHttpRequest"),
            ("x-shop", "tea"),
        ];
        let mut kept = headers(&fields);
        strip_request(&mut kept);
        assert_eq!(left(&kept), fields.map(|(name, value)| format!("{name}: {value}")));
    }

    #[test]
    fn who_somebody_is_and_where_and_how_long_they_wait_is_not_said_from_outside() {
        for name in [
            "X-User",
            "X-User-Id",
            "x-userid",
            "X-Users-Role",
            "X-Role",
            "X-Account-Id",
            "X-Auth-Request-User",
            "X-Authenticated-Userid",
            "X-Remote-User",
            "Remote-User",
            "REMOTE_USER",
            "x_user_id",
            "X-Operator",
            "X-Admin",
            "X-Peer",
            "X-Spiffe-Id",
            "X-Client-Cert",
            "SSL-Client-Cert",
            "X-SSL-Client-S-DN",
            "X-Session-Id",
            "X-JWT-Payload",
            "X-Principal",
            "X-Goog-Authenticated-User-Email",
            "X-MS-CLIENT-PRINCIPAL",
            "x-amzn-oidc-data",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded-User",
            "X-Forwarded-Client-Cert",
            "X_Forwarded_For",
            "X-Real-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "flotilla-timeout-ms",
            "Flotilla-User",
            "grpc-timeout",
            "grpc-encoding",
            "x-request-id",
            "traceparent",
            "tracestate",
            "baggage",
            "Expect",
        ] {
            let mut given = headers(&[(name, "1"), ("accept", "*/*"), (name, "2")]);
            strip_request(&mut given);
            assert_eq!(left(&given), ["accept: */*"], "{name}");
        }
    }

    #[test]
    fn headers_of_a_connection_stay_with_it() {
        let fields = [
            ("Connection", "close, X-Hop"),
            ("connection", " \"odd\" ,TE,, x-other"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("accept", "*/*"),
        ];
        for strip in [strip_request, strip_answer] {
            let mut given = headers(&fields);
            strip(&mut given);
            assert_eq!(left(&given), ["accept: */*"]);
        }
    }

    #[test]
    fn an_answer_keeps_what_is_for_the_client() {
        let fields =
            [("etag", "\"1\""), ("set-cookie", "a=1"), ("x-user-count", "7"), ("flotilla-hint", "x")];
        let mut given = headers(&fields);
        strip_answer(&mut given);
        assert_eq!(left(&given), ["etag: \"1\"", "set-cookie: a=1", "x-user-count: 7"]);
    }

    #[test]
    fn a_service_is_told_the_client_s_address_scheme_and_host() {
        let told = |uri: &str, host: Option<&str>| {
            let request = Request::builder().uri(uri);
            let request = host.into_iter().fold(request, |request, host| request.header("host", host));
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let scheme = HeaderValue::from_static("https");
            Origin { address: HeaderValue::from_static("192.0.2.1"), scheme }.tell(&mut head);
            left(&head.headers).join(", ")
        };
        let expected = "x-forwarded-for: 192.0.2.1, x-forwarded-host: shop.example, x-forwarded-proto: https";
        assert_eq!(told("/", Some("shop.example")), expected);
        assert_eq!(told("https://shop.example/", None), expected);
    }

    #[test]
    fn cookies_that_came_one_by_one_go_on_as_one_header() {
        let mut given = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
        join_cookies(&mut given);
        assert_eq!(left(&given), ["cookie: a=1; b=2; c=3"]);
        let mut given = headers(&[("cookie", "a=1")]);
        join_cookies(&mut given);
        assert_eq!(left(&given), ["cookie: a=1"]);
    }
}
