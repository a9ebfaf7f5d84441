use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::Deadline;
use types::ErrorClass;

use super::Kind;
use crate::Problem;

const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
const HTTP: HeaderName = HeaderName::from_static("flotilla-timeout-ms");

/// By when the request is to be answered: what a `trusted` caller leaves of its own time, at most `cap`.
pub(super) fn of(kind: Kind, headers: &HeaderMap, trusted: bool, cap: Duration) -> Result<Deadline, Problem> {
    let given = if trusted { given(kind, headers)? } else { None };
    match given {
        Some(Duration::ZERO) => {
            Err(Problem::new(ErrorClass::Unavailable, "the deadline had passed before the request arrived"))
        }
        given => Ok(Deadline::within(given.map_or(cap, |given| given.min(cap)))),
    }
}

fn given(kind: Kind, headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let (name, read, right): (_, fn(&str) -> Option<Duration>, _) = match kind {
        Kind::Grpc => (GRPC, grpc, "must be at most eight digits and one of H, M, S, m, u, n"),
        Kind::Http => (HTTP, |text| number(text).map(Duration::from_millis), "must be at most eight digits"),
    };
    let Some(value) = headers.get(&name) else { return Ok(None) };
    let timeout = HeaderValue::to_str(value).ok().and_then(read);
    timeout.map(Some).ok_or_else(|| Problem::new(ErrorClass::Invalid, format!("the header {name} {right}")))
}

/// As gRPC's protocol over HTTP/2 defines it.
fn grpc(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = number(digits)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 60 * 60),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn number(digits: &str) -> Option<u64> {
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(30);

    fn left(kind: Kind, name: &'static str, value: &str, trusted: bool) -> Result<Duration, String> {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())]);
        let deadline = of(kind, &headers, trusted, CAP);
        deadline.map(Deadline::remaining).map_err(|problem| problem.detail().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_s_deadline_counts_up_to_the_cap() {
        let cases = [
            ("250m", Duration::from_millis(250)),
            ("7S", Duration::from_secs(7)),
            ("99999999n", Duration::from_millis(99)),
            ("1M", CAP),
            ("99999999H", CAP),
        ];
        for (value, expected) in cases {
            let left = left(Kind::Grpc, "grpc-timeout", value, true).unwrap();
            assert_eq!(left.as_millis(), expected.as_millis(), "{value}");
        }
        let http = |value| left(Kind::Http, "flotilla-timeout-ms", value, true);
        assert_eq!(http("250"), Ok(Duration::from_millis(250)));
        assert_eq!(http("31000"), Ok(CAP));
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_listener_reads_its_own_header_and_none_from_outside() {
        assert_eq!(left(Kind::Http, "grpc-timeout", "1S", true), Ok(CAP));
        assert_eq!(left(Kind::Grpc, "flotilla-timeout-ms", "1", true), Ok(CAP));
        assert_eq!(left(Kind::Http, "flotilla-timeout-ms", "1", false), Ok(CAP));
        assert_eq!(left(Kind::Grpc, "grpc-timeout", "nonsense", false), Ok(CAP));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_timeout_is_refused_and_a_spent_one_too() {
        for value in ["", "S", "1", "123456789S", "-1S", "1.5S", "1s", "1 S", "+1S"] {
            let refused = left(Kind::Grpc, "grpc-timeout", value, true).unwrap_err();
            assert!(refused.starts_with("the header grpc-timeout must be"), "{value}: {refused}");
        }
        for value in ["", "1S", "123456789", "-1"] {
            let refused = left(Kind::Http, "flotilla-timeout-ms", value, true).unwrap_err();
            assert!(refused.starts_with("the header flotilla-timeout-ms must be"), "{value}: {refused}");
        }
        let spent = "the deadline had passed before the request arrived";
        assert_eq!(left(Kind::Http, "flotilla-timeout-ms", "0", true), Err(spent.to_owned()));
        assert_eq!(left(Kind::Grpc, "grpc-timeout", "0n", true), Err(spent.to_owned()));
    }
}
