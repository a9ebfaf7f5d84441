//! The headers by which the callee learns how long its answer is worth having.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::Deadline;

use crate::SendError;

const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
const HTTP: HeaderName = HeaderName::from_static("flotilla-timeout-ms");

/// Both headers have room for eight digits.
const MOST: u128 = 99_999_999;

/// Writes what is left of `deadline` in the manner of gRPC.
pub(crate) fn write_grpc(headers: &mut HeaderMap, deadline: Deadline) -> Result<(), SendError> {
    let mut value = grpc(deadline.remaining()).ok_or(SendError::Spent)?;
    // HTTP/2 would remember each value, and forget something for it that comes again.
    value.set_sensitive(true);
    headers.insert(GRPC, value);
    Ok(())
}

/// Writes what is left of `deadline` in the manner of our own HTTP.
pub(crate) fn write_http(headers: &mut HeaderMap, deadline: Deadline) -> Result<(), SendError> {
    headers.insert(HTTP, HeaderValue::from(millis(deadline)?));
    Ok(())
}

/// What is left of `deadline`, if that is anything.
pub(crate) fn millis(deadline: Deadline) -> Result<u32, SendError> {
    let millis = deadline.remaining().as_millis().min(MOST);
    u32::try_from(millis).ok().filter(|&millis| millis > 0).ok_or(SendError::Spent)
}

/// In the finest unit that it fits into, rounded down: the callee must not think that it has longer.
fn grpc(left: Duration) -> Option<HeaderValue> {
    match (left.as_micros(), left.as_millis()) {
        (0, _) => None,
        (micros @ 1..=MOST, _) => Some(written(micros as u32, b'u')),
        (_, millis) => Some(written(millis.min(MOST) as u32, b'm')),
    }
}

/// Each call has one of these, so they are worth writing without a detour.
fn written(mut number: u32, unit: u8) -> HeaderValue {
    let mut text = [unit; 9];
    let mut begin = text.len() - 1;
    while number > 0 && begin > 0 {
        begin -= 1;
        text[begin] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    HeaderValue::from_bytes(&text[begin..]).expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_eight_digits_and_never_as_more() {
        let cases = [
            (Duration::ZERO, None),
            (Duration::from_nanos(999), None),
            (Duration::from_nanos(1_999), Some("1u")),
            (Duration::from_secs(30), Some("30000000u")),
            (Duration::from_micros(99_999_999), Some("99999999u")),
            (Duration::from_micros(100_000_999), Some("100000m")),
            (Duration::from_secs(24 * 60 * 60), Some("86400000m")),
            (Duration::MAX, Some("99999999m")),
        ];
        for (left, expected) in cases {
            let told = grpc(left);
            assert_eq!(told.as_ref().map(|told| told.to_str().unwrap()), expected, "{left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_time_for_an_answer_is_not_sent() {
        let mut headers = HeaderMap::new();
        write_http(&mut headers, Deadline::within(Duration::from_millis(1_500))).unwrap();
        assert_eq!(headers["flotilla-timeout-ms"], "1500");
        let spent = Deadline::within(Duration::from_micros(900));
        assert!(matches!(write_http(&mut headers, spent), Err(SendError::Spent)));
        assert!(matches!(write_grpc(&mut headers, Deadline::within(Duration::ZERO)), Err(SendError::Spent)));
    }
}
