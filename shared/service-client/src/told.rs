//! What the head of an answer says: of the instance that gave it, and of whether another might do better.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};
use resilience::Verdict;
use tonic::{Code, Status};
use types::ErrorClass;

use crate::passed_on;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    /// That nothing happened.
    pub(crate) refusal: Option<Refusal>,
    /// That it was not done.
    pub(crate) is_error: bool,
}

/// Whether something that did not happen is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another attempt may go better. This instance is to be left alone for so long.
    Passing(Duration),
    /// It has been tried again further on.
    Final,
}

/// How long to wait in milliseconds before a call is tried again; negative, never (gRPC's proposal A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const AT_ONCE: Refusal = Refusal::Passing(Duration::ZERO);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Of an answer over gRPC that is an error, the status is in the head.
pub(crate) fn by_grpc(headers: &HeaderMap) -> Told {
    if !headers.contains_key(GRPC_STATUS) {
        return told(None, headers, AT_ONCE);
    }
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok);
    let class = status.map(|status| proto::status::class(&status));
    let pushback: Option<i64> = number(headers, &PUSHBACK);
    let refusal = match pushback.map(u64::try_from) {
        Some(Ok(millis)) => Refusal::Passing(Duration::from_millis(millis)),
        Some(Err(_negative)) => Refusal::Final,
        None => AT_ONCE,
    };
    told(class, headers, refusal)
}

/// Of an answer over HTTP.
pub(crate) fn by_http(status: StatusCode, headers: &HeaderMap) -> Told {
    let class = match status {
        StatusCode::SERVICE_UNAVAILABLE => Some(ErrorClass::Unavailable),
        StatusCode::GATEWAY_TIMEOUT => Some(ErrorClass::Unknown),
        status if status.is_server_error() => Some(ErrorClass::Internal),
        // Which one, is between the caller and the callee.
        status if status.is_client_error() => Some(ErrorClass::Invalid),
        _ => None,
    };
    let wait = number(headers, &RETRY_AFTER).map_or(Duration::ZERO, Duration::from_secs);
    told(class, headers, Refusal::Passing(wait))
}

fn told(class: Option<ErrorClass>, headers: &HeaderMap, refusal: Refusal) -> Told {
    let (verdict, refusal) = match class {
        Some(ErrorClass::Unavailable) if passed_on::forbids_retry(headers) => {
            (Verdict::Success, Some(Refusal::Final))
        }
        // It has too much to do, or lacks something, and says so at once. That makes it dear and does not open its
        // breaker: where all are overloaded, nobody would be served at all.
        Some(ErrorClass::Unavailable) => (Verdict::Nothing, Some(refusal)),
        Some(ErrorClass::Internal | ErrorClass::Unknown) => (Verdict::Fault, None),
        _ => (Verdict::Success, None),
    };
    Told { verdict, refusal, is_error: class.is_some() }
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Option<Refusal> = Some(AT_ONCE);

    fn of(class: ErrorClass) -> HeaderMap {
        proto::status::of(class, "no", &[]).into_http::<()>().headers().clone()
    }

    fn passed_on(mut headers: HeaderMap) -> HeaderMap {
        passed_on::forbid_retry(&mut headers);
        headers
    }

    #[test]
    fn what_an_instance_could_not_do_is_tried_elsewhere_unless_it_has_been_tried_further_on() {
        let cases = [
            (of(ErrorClass::Unavailable), Verdict::Nothing, NOW),
            (passed_on(of(ErrorClass::Unavailable)), Verdict::Success, Some(Refusal::Final)),
            (of(ErrorClass::Unknown), Verdict::Fault, None),
            (of(ErrorClass::Internal), Verdict::Fault, None),
            (of(ErrorClass::TooMany), Verdict::Success, None),
            (of(ErrorClass::NotFound), Verdict::Success, None),
            (HeaderMap::new(), Verdict::Success, None),
        ];
        let done = Status::ok("").into_http::<()>().headers().clone();
        assert_eq!(by_grpc(&done), Told { verdict: Verdict::Success, refusal: None, is_error: false });
        for (headers, verdict, refusal) in cases {
            let told = Told { verdict, refusal, is_error: !headers.is_empty() };
            assert_eq!(by_grpc(&headers), told, "{headers:?}");
        }
    }

    #[test]
    fn http_says_the_same_by_its_status() {
        let cases = [(200, Verdict::Success), (404, Verdict::Success), (429, Verdict::Success)];
        let faults = [(500, Verdict::Fault), (502, Verdict::Fault), (504, Verdict::Fault)];
        for (status, verdict) in cases.into_iter().chain(faults) {
            let status = StatusCode::from_u16(status).unwrap();
            let told = Told { verdict, refusal: None, is_error: status != 200 };
            assert_eq!(by_http(status, &HeaderMap::new()), told, "{status}");
        }
        let mut headers = HeaderMap::new();
        let told = |headers: &HeaderMap| by_http(StatusCode::SERVICE_UNAVAILABLE, headers);
        assert_eq!(told(&headers), Told { verdict: Verdict::Nothing, refusal: NOW, is_error: true });
        headers.insert(RETRY_AFTER, HeaderValue::from(7));
        assert_eq!(told(&headers).refusal, Some(Refusal::Passing(Duration::from_secs(7))));
        assert_eq!(told(&passed_on(headers)).refusal, Some(Refusal::Final));
    }

    #[test]
    fn whoever_pushes_back_is_left_alone_so_long_or_for_good() {
        let mut headers = of(ErrorClass::Unavailable);
        let quarter = Refusal::Passing(Duration::from_millis(250));
        for (pushback, refusal) in [("250", quarter), ("-1", Refusal::Final), ("0", AT_ONCE)] {
            headers.insert(PUSHBACK, HeaderValue::from_static(pushback));
            assert_eq!(by_grpc(&headers).refusal, Some(refusal), "{pushback}");
        }
    }
}
