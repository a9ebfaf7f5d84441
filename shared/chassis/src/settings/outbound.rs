//! On which terms other services are called: `SERVICE` or `SERVICE/METHOD` and what is special about it, with commas
//! between them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use service_client::{Callees, Terms};
use types::ServiceName;

use super::{Settings, read_duration};

const NAME: &str = "OUTBOUND";
const RIGHT: &str = "the terms on which other services are called, with commas between them, such as \
                     user-service timeout=5s attempts=2";

const SHAPE: &str = "SERVICE or SERVICE/PATH and one or more of timeout=5s, attempts=2, at-once=100, waiting=100, \
                     failures=5, rate=50, pause=1s, each once";
const SERVICE: &str = "for a service, such as user-service, with or without the path of a method after it";
const TIMEOUT: &str = "given a timeout from 10ms to 10m";
const ATTEMPTS: &str = "given attempts from 1 to 5";
const PLACES: &str = "given at-once from 1 and waiting from 0 to 10000";
const BREAKER: &str = "given failures from 1 to 1000, a rate from 1 to 100 and a pause from 100ms to 1m";
const TWICE: &str = "the only part for the same service and path";

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const MOST_PLACES: u32 = 10_000;
const MOST_ATTEMPTS: u32 = 5;
const MOST_FAILURES: u32 = 1_000;

/// The terms that `OUTBOUND` names; what it does not is called on the usual ones.
pub fn outbound_config(settings: &mut Settings) -> Callees {
    let mut callees = Callees::default();
    let Some(text) = settings.optional_text(NAME, RIGHT) else { return callees };
    let mut parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    // What a service's terms are, its paths begin with.
    parts.sort_by_key(|part| callee(part).contains('/'));
    let mut named = BTreeSet::new();
    for part in parts {
        let read = if named.insert(callee(part)) { read(part, &mut callees) } else { Err(TWICE) };
        if let Err(right) = read {
            settings.reject_part(NAME, part, right);
        }
    }
    callees
}

fn callee(part: &str) -> &str {
    part.split_ascii_whitespace().next().unwrap_or(part)
}

fn read(part: &str, callees: &mut Callees) -> Result<(), &'static str> {
    let callee = callee(part);
    let (service, path) = callee.split_at(callee.find('/').unwrap_or(callee.len()));
    let service: ServiceName = service.parse().or(Err(SERVICE))?;
    let words = || part.split_ascii_whitespace().skip(1);
    words().next().ok_or(SHAPE)?;
    let mut told = BTreeSet::new();
    if !words().all(|word| told.insert(word.split_once('=').map(|(term, _)| term))) {
        return Err(SHAPE);
    }
    let callee = callees.0.entry(service).or_default();
    let mut terms = callee.terms;
    words().try_for_each(|word| take(&mut terms, word))?;
    if path.is_empty() {
        callee.terms = terms;
    } else {
        callee.special.insert(path.to_owned(), terms);
    }
    Ok(())
}

fn take(terms: &mut Terms, word: &str) -> Result<(), &'static str> {
    let breaker = &mut terms.breaker;
    match word.split_once('=') {
        Some(("failures", value)) => {
            let failures = number(value, 1..=MOST_FAILURES).ok_or(BREAKER)?;
            breaker.failures_in_a_row = failures.try_into().or(Err(BREAKER))?;
        }
        Some(("rate", value)) => {
            let rate = number(value, 1..=100).and_then(|rate| u8::try_from(rate).ok());
            breaker.failure_rate = resilience::Percent::new(rate.ok_or(BREAKER)?);
        }
        Some(("pause", value)) => breaker.pause = duration(value, PAUSES).ok_or(BREAKER)?,
        Some(("timeout", value)) => terms.timeout = Some(duration(value, TIMEOUTS).ok_or(TIMEOUT)?),
        Some(("attempts", value)) => terms.attempts = number(value, 1..=MOST_ATTEMPTS).ok_or(ATTEMPTS)?,
        Some(("at-once", value)) => terms.bulkhead.at_once = number(value, 1..=MOST_PLACES).ok_or(PLACES)?,
        Some(("waiting", value)) => terms.bulkhead.waiting = number(value, 0..=MOST_PLACES).ok_or(PLACES)?,
        _ => return Err(SHAPE),
    }
    Ok(())
}

fn duration(text: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
    read_duration(text).filter(|duration| range.contains(duration))
}

fn number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

#[cfg(test)]
mod tests {
    use resilience::BreakerConfig;
    use types::ServiceName;

    use super::*;
    use crate::{Sources, Vars};

    fn callees(text: &str) -> Result<Callees, String> {
        let sources = Sources { vars: Vars::from([(NAME, text)]), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("auth-service"), sources);
        let callees = outbound_config(&mut settings);
        settings.finish().map(|()| callees).map_err(|errors| errors.to_string())
    }

    #[test]
    fn terms_are_told_for_a_service_and_for_what_is_special_about_it() {
        let text = "user-service/userservice.UserService/GetUser attempts=1 failures=9, \
                    user-service timeout=5s attempts=2 at-once=100 waiting=0 failures=3 rate=80 pause=500ms";
        let callees = callees(text).unwrap();
        let callee = &callees.0[&ServiceName::new("user-service")];
        assert_eq!((callee.terms.timeout, callee.terms.attempts), (Some(Duration::from_secs(5)), 2));
        assert_eq!((callee.terms.bulkhead.at_once, callee.terms.bulkhead.waiting), (100, 0));
        assert_eq!(
            (callee.terms.breaker.failures_in_a_row.get(), callee.terms.breaker.pause.as_millis()),
            (3, 500)
        );
        let special = callee.special["/userservice.UserService/GetUser"];
        let breaker = BreakerConfig { failures_in_a_row: 9.try_into().unwrap(), ..callee.terms.breaker };
        assert_eq!(special, Terms { attempts: 1, breaker, ..callee.terms }, "the rest is the service's");
        assert_eq!(self::callees("").unwrap(), Callees::default());
    }

    #[test]
    fn every_wrong_part_is_told_with_what_would_be_right() {
        let wrong = callees(
            "user-service, User attempts=2, a timeout=1, b attempts=9, c at-once=0, d rate=0, e/x rate=0, f timeout=1s, \
             f attempts=2, g attempts=1 attempts=2",
        );
        insta::assert_snapshot!(wrong.unwrap_err());
    }
}
