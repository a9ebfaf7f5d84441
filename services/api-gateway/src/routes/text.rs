//! Routes as text: `PREFIX ACCESS SERVICE` for each, with commas between them, and what is special about it:
//! `timeout=5s` until the head of the answer, `body=64KiB` at most, `attempts=2` at most, `at-once=100` requests of the route,
//! and `keyed`, if its service keeps each `Idempotency-Key`, so that a request that has one may be sent again.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chassis::Access;
use chassis::{read_duration, read_size, show_duration, show_size};
use types::ServiceName;

use super::{Route, Routes};
use crate::{health, path};

/// Parts of the table that are wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RoutesError(
    /// All of them, in the order of the table.
    pub Vec<WrongRoute>,
);

/// A part of the table that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} must be {right}")]
pub struct WrongRoute {
    /// The part, as it was given.
    pub part: String,
    /// What it must be.
    pub right: &'static str,
}

/// More than any platform has services; requests are measured by route, in a bounded number of series.
const MOST: usize = 100;
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// Beyond it a service that fails is called on more than it helps.
const ATTEMPTS: RangeInclusive<u32> = 1..=5;
const AT_ONCE: RangeInclusive<u32> = 1..=10_000;
/// Beyond it no service takes a body.
const BODIES: RangeInclusive<u64> = 1..=4 << 20;

const SHAPE: &str = "PREFIX ACCESS SERVICE and what is special about it, such as \
                     /orders user order-service timeout=5s body=64KiB attempts=2 at-once=100 keyed";
const PREFIX: &str = "for a path of whole segments of letters, digits and -._~, without a slash at its end";
const RESERVED: &str = "for another path than the gateway's own /health";
const ACCESS: &str = "for public, user or operator after the prefix";
const SERVICE: &str = "for a service, such as user-service, after the access";
const TIMEOUT: &str = "given a timeout from 100ms to 10m";
const BODY: &str = "given a body from 1B to 4MiB";
const ATTEMPTS_RIGHT: &str = "given attempts from 1 to 5";
const AT_ONCE_RIGHT: &str = "given at-once from 1 to 10000";
const TWICE: &str = "the only route with its prefix";
const FEWER: &str = "among the first 100 routes";

impl FromStr for Routes {
    type Err = RoutesError;

    fn from_str(text: &str) -> Result<Self, RoutesError> {
        let mut table = Self { routes: Vec::new(), services: Vec::new() };
        let (mut prefixes, mut wrong) = (BTreeSet::new(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let read = table.read(part).and_then(|route| match () {
                () if !prefixes.insert(route.prefix.clone()) => Err(TWICE),
                () if table.routes.len() == MOST => Err(FEWER),
                () => Ok(route),
            });
            match read {
                Ok(route) => table.routes.push(route),
                Err(right) => wrong.push(WrongRoute { part: part.to_owned(), right }),
            }
        }
        if table.routes.is_empty() && wrong.is_empty() {
            wrong.push(WrongRoute { part: text.to_owned(), right: SHAPE });
        }
        table.routes.sort_by_key(|route| Reverse(route.prefix.len()));
        if wrong.is_empty() { Ok(table) } else { Err(RoutesError(wrong)) }
    }
}

impl Routes {
    fn read(&mut self, part: &str) -> Result<Route, &'static str> {
        let mut words = part.split_ascii_whitespace();
        let (Some(prefix), Some(access), Some(service)) = (words.next(), words.next(), words.next()) else {
            return Err(SHAPE);
        };
        let (prefix, access) = (read_prefix(prefix)?.into(), read_access(access).ok_or(ACCESS)?);
        let service = self.service(service.parse().or(Err(SERVICE))?);
        let (timeout, largest_body, attempts, at_once, keyed) = (None, None, None, None, false);
        let mut route = Route { prefix, access, service, timeout, largest_body, attempts, at_once, keyed };
        words.try_for_each(|word| route.take(word))?;
        Ok(route)
    }

    fn service(&mut self, service: ServiceName) -> usize {
        let known = self.services.iter().position(|known| *known == service);
        known.unwrap_or_else(|| {
            self.services.push(service);
            self.services.len() - 1
        })
    }
}

impl Route {
    /// Takes one of the terms that need not be told.
    fn take(&mut self, term: &str) -> Result<(), &'static str> {
        match term.split_once('=') {
            Some(("timeout", value)) if self.timeout.is_none() => {
                let timeout = read_duration(value).filter(|timeout| TIMEOUTS.contains(timeout));
                self.timeout = Some(timeout.ok_or(TIMEOUT)?);
            }
            Some(("body", value)) if self.largest_body.is_none() => {
                let size = read_size(value).filter(|size| BODIES.contains(size));
                self.largest_body = Some(size.and_then(|size| usize::try_from(size).ok()).ok_or(BODY)?);
            }
            Some(("attempts", value)) if self.attempts.is_none() => {
                self.attempts = Some(read_number(value, ATTEMPTS).ok_or(ATTEMPTS_RIGHT)?);
            }
            Some(("at-once", value)) if self.at_once.is_none() => {
                self.at_once = Some(read_number(value, AT_ONCE).ok_or(AT_ONCE_RIGHT)?);
            }
            None if term == "keyed" && !self.keyed => self.keyed = true,
            _ => return Err(SHAPE),
        }
        Ok(())
    }
}

fn read_number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

fn read_prefix(prefix: &str) -> Result<&str, &'static str> {
    let is_whole = prefix == "/" || !prefix.ends_with('/');
    // Other characters have two spellings, of which a service may take either for the other.
    let is_plain = prefix.bytes().all(|byte| byte == b'/' || path::is_plain(byte));
    if !is_whole || !is_plain || path::check(prefix).is_err() {
        return Err(PREFIX);
    }
    if prefix == health::PATH { Err(RESERVED) } else { Ok(prefix) }
}

const ACCESSES: [(&str, Access); 3] =
    [("public", Access::Anybody), ("user", Access::Users), ("operator", Access::Operators)];

fn read_access(word: &str) -> Option<Access> {
    ACCESSES.into_iter().find(|(name, _)| *name == word).map(|(_, access)| access)
}

/// As it is read.
impl fmt::Display for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, route) in self.routes.iter().enumerate() {
            let access = ACCESSES.into_iter().find(|(_, access)| *access == route.access);
            let (access, _) = access.expect("every access has a word");
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{} {access} {}", route.prefix, self.services[route.service])?;
            if let Some(timeout) = route.timeout {
                write!(f, " timeout={}", show_duration(timeout))?;
            }
            if let Some(size) = route.largest_body {
                write!(f, " body={}", show_size(size as u64))?;
            }
            if let Some(attempts) = route.attempts {
                write!(f, " attempts={attempts}")?;
            }
            if let Some(at_once) = route.at_once {
                write!(f, " at-once={at_once}")?;
            }
            if route.keyed {
                f.write_str(" keyed")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<(String, &'static str)> {
        let RoutesError(wrong) = text.parse::<Routes>().unwrap_err();
        wrong.into_iter().map(|wrong| (wrong.part, wrong.right)).collect()
    }

    #[test]
    fn a_table_is_read_and_shown() {
        let table = "/orders user order-service timeout=5s body=64KiB attempts=1 at-once=50 keyed,\n /users operator user-service ,/o public order-service,";
        let routes: Routes = table.parse().unwrap();
        let shown = "/orders user order-service timeout=5s body=64KiB attempts=1 at-once=50 keyed, /users operator user-service, \
                     /o public order-service";
        assert_eq!(routes.to_string(), shown);
        assert_eq!(routes.services(), ["order-service", "user-service"].map(ServiceName::new));
        assert_eq!((routes.largest_body(9), routes.largest_body(1 << 20)), (64 << 10, 1 << 20));
        assert_eq!(shown.parse(), Ok(routes));
    }

    #[test]
    fn the_default_is_as_it_is_shown_in_another_order() {
        let routes: Routes = Routes::DEFAULT.parse().unwrap();
        let sorted = |text: &str| {
            let mut parts: Vec<_> = text.split(", ").map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(sorted(&routes.to_string()), sorted(Routes::DEFAULT));
    }

    #[test]
    fn every_wrong_part_is_told_with_what_would_be_right() {
        let cases = [
            ("/users user", SHAPE),
            ("users user user-service", PREFIX),
            ("/users/ user user-service", PREFIX),
            ("/a/../users user user-service", PREFIX),
            ("/caf%C3%A9 user user-service", PREFIX),
            ("/health public user-service", RESERVED),
            ("/users users user-service", ACCESS),
            ("/users user user-service attempts=0", ATTEMPTS_RIGHT),
            ("/users user user-service at-once=+1", AT_ONCE_RIGHT),
            ("/users user User", SERVICE),
            ("/users user user-service timeout=5", TIMEOUT),
            ("/users user user-service timeout=1h", TIMEOUT),
            ("/users user user-service body=5MiB", BODY),
            ("/users user user-service body=0B", BODY),
            ("/users user user-service body=1B body=1B", SHAPE),
            ("/users user user-service retries=3", SHAPE),
            ("/users user user-service keyed keyed", SHAPE),
            ("/users user user-service keyed=yes", SHAPE),
        ];
        for (part, right) in cases {
            let table = format!("/a user a, {part}, /b user b");
            assert_eq!(wrong(&table), [(part.to_owned(), right)]);
        }
        let all = cases.map(|(part, right)| (part.to_owned(), right));
        assert_eq!(wrong(&cases.map(|(part, _)| part).join(",")), all);
    }

    #[test]
    fn a_prefix_has_one_way_and_a_table_is_neither_empty_nor_endless() {
        assert_eq!(wrong("/a user a, /a public b"), [("/a public b".to_owned(), TWICE)]);
        assert_eq!(wrong(" , "), [(" , ".to_owned(), SHAPE)]);
        let most: Vec<_> = (0..=MOST).map(|number| format!("/a{number} user a")).collect();
        assert_eq!(wrong(&most.join(",")), [("/a100 user a".to_owned(), FEWER)]);
    }
}
