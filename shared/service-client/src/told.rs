//! What the head of an answer says: of the instance that gave it, and of whether another might do better.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use resilience::Verdict;
use runtime::Clock;
use tonic::{Code, Status};
use types::{ErrorClass, Timestamp};

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
    /// Another instance may do it, which nobody need wait for.
    Elsewhere,
    /// As [`Self::Passing`], where something on the way says so, which may have asked the callee before.
    Doubtful(Duration),
    /// It has been tried again further on, or is to be left alone for good.
    Final,
}

/// How long to wait in milliseconds before a call is tried again; negative or unreadable, never (gRPC's proposal A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const AT_ONCE: Refusal = Refusal::Passing(Duration::ZERO);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Of an answer over gRPC that is an error, the status is in the head.
pub(crate) fn by_grpc(http: StatusCode, headers: &HeaderMap) -> Told {
    let Some(code) = headers.get(GRPC_STATUS) else {
        // Something on the way answers in the place of the callee, which tonic takes for what it may mean.
        let class = (http != StatusCode::OK).then_some(ErrorClass::Unknown);
        return told(class, headers, AT_ONCE);
    };
    if code == "0" {
        return told(None, headers, AT_ONCE);
    }
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok);
    let Some(status) = status else { return told(None, headers, AT_ONCE) };
    if proto::status::is_of_overload(&status) {
        passed_on::note_overload();
    }
    told(Some(proto::status::class(&status)), headers, pushback(&status, headers))
}

/// What a callee says of another attempt: in the manner of gRPC's own servers or else of ours.
fn pushback(status: &Status, headers: &HeaderMap) -> Refusal {
    match headers.get(PUSHBACK) {
        Some(millis) => read(millis).map(Duration::from_millis).map_or(Refusal::Final, Refusal::Passing),
        None => Refusal::Passing(proto::status::retry_after(status).unwrap_or_default()),
    }
}

/// Of an answer over HTTP.
pub(crate) fn by_http(status: StatusCode, headers: &HeaderMap, clock: &Clock) -> Told {
    let class = match status {
        StatusCode::SERVICE_UNAVAILABLE => Some(ErrorClass::Unavailable),
        StatusCode::GATEWAY_TIMEOUT => Some(ErrorClass::Unknown),
        status if status.is_server_error() => Some(ErrorClass::Internal),
        // Which one, is between the caller and the callee.
        status if status.is_client_error() => Some(ErrorClass::Invalid),
        _ => None,
    };
    if passed_on::tells_overload(headers) {
        passed_on::note_overload();
    }
    let wait = headers.get(RETRY_AFTER).and_then(|value| wait(value, clock)).unwrap_or_default();
    let is_own = passed_on::allows_retry(headers);
    told(class, headers, if is_own { Refusal::Passing(wait) } else { Refusal::Doubtful(wait) })
}

/// `Retry-After`: so many seconds, or until a moment (RFC 9110, section 10.2.3).
fn wait(value: &HeaderValue, clock: &Clock) -> Option<Duration> {
    if let Some(seconds) = read(value) {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let at = Timestamp::default().after(at.duration_since(UNIX_EPOCH).ok()?);
    Some(at.since(clock.now()))
}

fn told(class: Option<ErrorClass>, headers: &HeaderMap, refusal: Refusal) -> Told {
    let (verdict, refusal) = match class {
        // It was somebody else who failed. Whoever tells of it is well.
        Some(ErrorClass::Unavailable) if passed_on::forbids_retry(headers) => {
            (Verdict::Success, Some(Refusal::Final))
        }
        Some(ErrorClass::Unknown) if passed_on::forbids_retry(headers) => (Verdict::Success, None),
        // It has too much to do, or lacks something, and says so at once. That makes it dear and does not open its
        // breaker: where all are overloaded, nobody would be served at all.
        Some(ErrorClass::Unavailable) => (Verdict::Nothing, Some(refusal)),
        Some(ErrorClass::Internal | ErrorClass::Unknown) => (Verdict::Fault, None),
        _ => (Verdict::Success, None),
    };
    Told { verdict, refusal, is_error: class.is_some() }
}

fn read<T: FromStr>(value: &HeaderValue) -> Option<T> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
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
            (passed_on(of(ErrorClass::Unknown)), Verdict::Success, None),
            (passed_on(of(ErrorClass::Internal)), Verdict::Fault, None),
            (of(ErrorClass::Internal), Verdict::Fault, None),
            (of(ErrorClass::TooMany), Verdict::Success, None),
            (of(ErrorClass::NotFound), Verdict::Success, None),
            (HeaderMap::new(), Verdict::Success, None),
        ];
        let done = Status::ok("").into_http::<()>().headers().clone();
        let by_grpc = |headers: &HeaderMap| by_grpc(StatusCode::OK, headers);
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
            assert_eq!(by_http(status, &HeaderMap::new(), &noon()), told, "{status}");
        }
        let late = by_http(StatusCode::GATEWAY_TIMEOUT, &passed_on(HeaderMap::new()), &noon());
        assert_eq!(late, Told { verdict: Verdict::Success, refusal: None, is_error: true });
        let told = |headers: &HeaderMap| by_http(StatusCode::SERVICE_UNAVAILABLE, headers, &noon());
        assert_eq!(told(&HeaderMap::new()).refusal, Some(Refusal::Doubtful(Duration::ZERO)));
        let mut headers = HeaderMap::new();
        passed_on::allow_retry(&mut headers);
        assert_eq!(told(&headers), Told { verdict: Verdict::Nothing, refusal: NOW, is_error: true });
        headers.insert(RETRY_AFTER, HeaderValue::from(7));
        assert_eq!(told(&headers).refusal, Some(Refusal::Passing(Duration::from_secs(7))));
        assert_eq!(told(&passed_on(headers)).refusal, Some(Refusal::Final));
    }

    /// Sat, 31 Jan 2026 12:00:00 GMT.
    fn noon() -> Clock {
        Clock::reading(|| Timestamp::from_micros(1_769_860_800_000_000))
    }

    fn left_alone(millis: u64) -> Refusal {
        Refusal::Passing(Duration::from_millis(millis))
    }

    #[test]
    fn whoever_wants_to_be_left_alone_over_grpc_is_so_long_or_for_good() {
        let own = proto::status::of_not_now(ErrorClass::Unavailable, "no", Duration::from_millis(1_500));
        let mut headers = own.into_http::<()>().headers().clone();
        assert_eq!(by_grpc(StatusCode::OK, &headers).refusal, Some(left_alone(1_500)), "by our own servers");
        let cases = [
            ("250", left_alone(250)),
            ("0", AT_ONCE),
            ("-1", Refusal::Final),
            ("soon", Refusal::Final),
            ("99999999999999999999", Refusal::Final),
        ];
        for (pushback, refusal) in cases {
            headers.insert(PUSHBACK, HeaderValue::from_static(pushback));
            assert_eq!(by_grpc(StatusCode::OK, &headers).refusal, Some(refusal), "{pushback}");
        }
    }

    #[test]
    fn whoever_wants_to_be_left_alone_over_http_says_for_how_long_or_until_when() {
        let cases = [
            ("7", left_alone(7_000)),
            ("Sat, 31 Jan 2026 12:00:09 GMT", left_alone(9_000)),
            ("Saturday, 31-Jan-26 12:00:09 GMT", left_alone(9_000)),
            ("Sat, 31 Jan 2026 11:59:59 GMT", AT_ONCE),
            ("soon", AT_ONCE),
        ];
        for (value, refusal) in cases {
            let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            passed_on::allow_retry(&mut headers);
            let told = by_http(StatusCode::SERVICE_UNAVAILABLE, &headers, &noon());
            assert_eq!(told.refusal, Some(refusal), "{value}");
        }
    }

    #[test]
    fn what_answers_in_the_place_of_a_callee_of_grpc_is_a_fault_and_may_have_asked_it() {
        for status in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND] {
            let fault = Told { verdict: Verdict::Fault, refusal: None, is_error: true };
            assert_eq!(by_grpc(status, &HeaderMap::new()), fault, "{status}");
        }
    }
}
