use std::collections::BTreeMap;

use resilience::{BreakerConfig, Bulkhead};
use runtime::Deadline;

use super::terms::{CalleeConfig, OwnTerms, Terms};

/// By its path each request has its lane: of those whose path it begins with, the one with the longest.
#[derive(Debug)]
pub(crate) struct Lanes {
    usual: Lane,
    /// By what the path begins with, in whole segments.
    special: BTreeMap<String, Lane>,
}

/// What is called on the same terms.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(super) terms: Terms,
    pub(super) bulkhead: Bulkhead,
    /// Which set of instances, each with its connections and its breaker.
    pub(crate) set: usize,
}

impl Lanes {
    pub(super) fn new(config: &CalleeConfig) -> Self {
        let usual = Lane::new(config.terms, 0);
        let mut last = usual.set;
        let special = config.special.iter().map(|(path, terms)| {
            let is_apart = terms.breaker != config.terms.breaker;
            last += usize::from(is_apart);
            (path.clone(), Lane::new(*terms, if is_apart { last } else { 0 }))
        });
        Self { special: special.collect(), usual }
    }

    /// The lane of `path`.
    pub(crate) fn of(&self, path: &str) -> &Lane {
        let special = self.special.iter().rev().find(|(begins, _)| leads(begins, path));
        special.map_or(&self.usual, |(_, lane)| lane)
    }

    /// The same for requests on terms of their `own`.
    pub(super) fn on(&self, own: &OwnTerms) -> Self {
        let place = own.at_once.map(|at_once| Bulkhead::new(own.bulkhead(at_once, &self.usual.terms)));
        let on = |lane: &Lane| Lane {
            terms: own.over(&lane.terms),
            bulkhead: place.as_ref().unwrap_or(&lane.bulkhead).clone(),
            set: lane.set,
        };
        let special = self.special.iter().map(|(path, lane)| (path.clone(), on(lane)));
        Self { usual: on(&self.usual), special: special.collect() }
    }

    /// When the instances of each set are left out.
    pub(super) fn breakers(&self) -> Vec<BreakerConfig> {
        let apart = self.special.values().filter(|lane| lane.set > 0).map(|lane| lane.terms.breaker);
        std::iter::once(self.usual.terms.breaker).chain(apart).collect()
    }

    /// The terms of what begins with `path`, and of what is special about it.
    pub(super) fn under<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Lane)> {
        let special = self.special.iter().map(|(begins, lane)| (begins.as_str(), lane));
        let special = special.filter(move |(begins, _)| *begins != path && leads(path, begins));
        std::iter::once((path, self.of(path))).chain(special)
    }
}

impl Lane {
    fn new(terms: Terms, set: usize) -> Self {
        Self { terms, bulkhead: Bulkhead::new(terms.bulkhead), set }
    }

    /// The earlier of `deadline` and the lane's own.
    pub(crate) fn within(&self, deadline: Deadline) -> Deadline {
        self.terms.timeout.map_or(deadline, |timeout| deadline.at_most(timeout))
    }

    /// Whether a key has a request repeated that may not be otherwise.
    pub(crate) fn is_keyed(&self) -> bool {
        self.terms.keyed
    }
}

/// Whether `path` begins with the segments of `begins`.
fn leads(begins: &str, path: &str) -> bool {
    let rest = path.strip_prefix(begins);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('/') || begins.is_empty() || begins.ends_with('/')
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn lanes(special: &[(&str, Terms)]) -> Lanes {
        let special = special.iter().map(|(path, terms)| ((*path).to_owned(), *terms)).collect();
        Lanes::new(&CalleeConfig { terms: Terms::default(), special })
    }

    fn sent(attempts: u32) -> Terms {
        Terms { attempts, ..Terms::default() }
    }

    #[test]
    fn the_longest_path_in_whole_segments_has_its_terms() {
        let lanes = lanes(&[
            ("/users", sent(1)),
            ("/users/me", sent(2)),
            ("/s.UserService/GetUser", sent(4)),
            ("/a/", sent(5)),
        ]);
        let cases = [
            ("/users", 1),
            ("/users/7", 1),
            ("/users/me", 2),
            ("/users/me/keys", 2),
            ("/users/men", 1),
            ("/usersx", 3),
            ("/s.UserService/GetUser", 4),
            ("/s.UserService/GetUserHistory", 3),
            ("/a/b", 5),
            ("/", 3),
        ];
        for (path, attempts) in cases {
            assert_eq!(lanes.of(path).terms.attempts, attempts, "{path}");
        }
    }

    #[test]
    fn what_a_caller_says_of_its_own_goes_for_all_that_is_special_and_the_rest_stays() {
        let slow = Terms { timeout: Some(std::time::Duration::from_secs(2)), ..sent(5) };
        let lanes = lanes(&[("/users/me", slow)]);
        let own = OwnTerms {
            attempts: Some(1),
            timeout: Some(std::time::Duration::from_secs(9)),
            ..OwnTerms::default()
        };
        let on = lanes.on(&own);
        assert_eq!(on.of("/users").terms, Terms { attempts: 1, timeout: own.timeout, ..Terms::default() });
        assert_eq!(
            on.of("/users/me").terms,
            Terms { attempts: 1, ..slow },
            "the shorter of the two timeouts"
        );
        let rows: Vec<_> = on.under("/users").map(|(path, lane)| (path, lane.terms.timeout)).collect();
        assert_eq!(rows, [("/users", own.timeout), ("/users/me", slow.timeout)]);
    }

    #[test]
    fn what_has_a_breaker_of_its_own_has_instances_of_its_own() {
        let failures_in_a_row = NonZeroU32::MIN;
        let breaker = BreakerConfig { failures_in_a_row, ..BreakerConfig::default() };
        let lanes = lanes(&[
            ("/a", sent(1)),
            ("/b", Terms { breaker, ..sent(2) }),
            ("/c", Terms { breaker, ..sent(3) }),
        ]);
        assert_eq!(["/", "/a", "/b", "/c"].map(|path| lanes.of(path).set), [0, 0, 1, 2]);
        assert_eq!(lanes.breakers(), [BreakerConfig::default(), breaker, breaker]);
    }
}
