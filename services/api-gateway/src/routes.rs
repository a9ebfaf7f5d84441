//! Which service answers which paths, and on which terms.

mod text;

use std::sync::Arc;
use std::time::Duration;

use chassis::Access;
use types::ServiceName;

pub use self::text::{RoutesError, WrongRoute};

/// The table of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The longest prefix first, so that the first that fits is the one.
    routes: Vec<Route>,
    /// Each once.
    services: Vec<ServiceName>,
}

/// The way to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// What the paths begin with, in whole segments; the name under which requests are measured.
    pub(crate) prefix: Arc<str>,
    pub(crate) access: Access,
    /// Which of the table's services.
    pub(crate) service: usize,
    /// Until the head of the answer; where none is told, as long as any request may take.
    pub(crate) timeout: Option<Duration>,
    /// How often a request is sent at most; where none is told, as often as any.
    pub(crate) attempts: Option<u32>,
    /// Requests that wait for an answer at the same time; where none is told, the route's are bounded with the others
    /// of its service.
    pub(crate) at_once: Option<u32>,
    /// Whether the service keeps the `Idempotency-Key` of a request, so that one that has it may be sent again.
    pub(crate) keyed: bool,
    /// The bytes of the largest body; where none is told, those of any.
    pub(crate) largest_body: Option<usize>,
}

impl Routes {
    /// What the services of the platform own.
    pub const DEFAULT: &str = "/auth/password user auth-service, /auth/sessions user auth-service, \
                               /auth public auth-service, /.well-known public auth-service, \
                               /users user user-service";

    /// The way for a path, which is in its normal form, and its number.
    pub(crate) fn find(&self, path: &str) -> Option<(usize, &Route)> {
        self.routes.iter().enumerate().find(|(_, route)| route.leads(path))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// What is passed on, and whose, in the order in which it is looked for.
    pub(crate) fn permissions(&self) -> Vec<(Arc<str>, Access)> {
        self.routes.iter().map(|route| (Arc::clone(&route.prefix), route.access)).collect()
    }

    pub(crate) fn services(&self) -> &[ServiceName] {
        &self.services
    }

    /// The largest body that any route lets through, where `others` is for those that say nothing.
    pub(crate) fn largest_body(&self, others: usize) -> usize {
        self.routes.iter().map(|route| route.largest_body.unwrap_or(others)).max().unwrap_or(others)
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::DEFAULT.parse().expect("a test reads it")
    }
}

impl Route {
    fn leads(&self, path: &str) -> bool {
        // The whole of `/` is where everything begins.
        let prefix = if *self.prefix == *"/" { "" } else { &*self.prefix };
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix<'a>(routes: &'a Routes, path: &str) -> Option<&'a str> {
        routes.find(path).map(|(_, route)| &*route.prefix)
    }

    #[test]
    fn the_longest_prefix_in_whole_segments_leads_the_way() {
        let routes = Routes::default();
        let cases = [
            ("/auth", Some("/auth")),
            ("/auth/", Some("/auth")),
            ("/auth/login", Some("/auth")),
            ("/auth/sessions", Some("/auth/sessions")),
            ("/auth/sessions/1", Some("/auth/sessions")),
            ("/auth/sessionsx", Some("/auth")),
            ("/auth/passwords", Some("/auth")),
            ("/authx", None),
            ("/users/me", Some("/users")),
            ("/USERS/me", None),
            ("/.well-known/jwks.json", Some("/.well-known")),
            ("/", None),
            ("/flotilla.operations.v1.OperationsService/GetStatus", None),
        ];
        for (path, expected) in cases {
            assert_eq!(prefix(&routes, path), expected, "{path}");
        }
    }

    #[test]
    fn the_root_leads_everywhere_that_nothing_else_does() {
        let routes: Routes = "/ public site-service, /users user user-service".parse().unwrap();
        for (path, expected) in [("/", "/"), ("/a/b", "/"), ("/users", "/users"), ("/usersx", "/")] {
            assert_eq!(prefix(&routes, path), Some(expected), "{path}");
        }
    }

    /// The same by the definition: of all prefixes whose segments the path begins with, the longest.
    fn by_definition(prefixes: &[String], path: &str) -> Option<String> {
        let segments = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
        let fits = |prefix: &&String| segments(path).starts_with(&segments(prefix));
        prefixes.iter().filter(fits).max_by_key(|prefix| prefix.len()).cloned()
    }

    proptest! {
        #[test]
        fn the_way_is_the_one_of_the_definition(
            prefixes in proptest::collection::btree_set("(/(a|b|ab)){1,3}", 1..9),
            path in "(/(a|b|ab)){1,4}",
        ) {
            let text: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix} user x")).collect();
            let routes: Routes = text.join(",").parse().unwrap();
            let prefixes: Vec<String> = prefixes.into_iter().collect();
            prop_assert_eq!(prefix(&routes, &path).map(str::to_owned), by_definition(&prefixes, &path));
        }
    }
}
