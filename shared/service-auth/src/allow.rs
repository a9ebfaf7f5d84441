use std::collections::BTreeMap;
use std::fmt;

use types::ServiceName;

use crate::{SpiffeId, TrustDomain};

/// Who may call which gRPC method of a service. What is not in the table is refused.
#[derive(Clone, Debug)]
pub struct AllowTable {
    trust_domain: TrustDomain,
    methods: BTreeMap<&'static str, Callers>,
    // Rows such as `/package.Service/*`, found by the path without the star.
    services: BTreeMap<&'static str, (&'static str, Callers)>,
}

/// The callers of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Whoever has an identity of the trust domain, as for health checks.
    Everyone,
    /// These alone.
    These(Vec<SpiffeId>),
}

impl AllowTable {
    /// The name that stands for the operators' command line among the callers.
    const OPERATOR: &'static str = "operator";

    /// A table that lets nobody do anything.
    pub fn new(trust_domain: &TrustDomain) -> Self {
        Self { trust_domain: trust_domain.clone(), methods: BTreeMap::new(), services: BTreeMap::new() }
    }

    /// Lets `callers`, services by their names or `operator`, use a method
    /// (`/userservice.UserService/GetUser`) or all methods of a service that have no row of their own
    /// (`/userservice.UserService/*`).
    ///
    /// # Panics
    /// When the row is there already, or a path or name is none: a mistake in the code that the first start
    /// finds.
    #[must_use]
    pub fn allow(self, path: &'static str, callers: &[&'static str]) -> Self {
        let callers = callers.iter().map(|caller| self.caller(caller)).collect();
        self.with(path, Callers::These(callers))
    }

    /// Lets whoever has an identity of the trust domain use the method or service.
    ///
    /// # Panics
    /// As [`AllowTable::allow`].
    #[must_use]
    pub fn allow_everyone(self, path: &'static str) -> Self {
        self.with(path, Callers::Everyone)
    }

    /// Whether `caller` may use the method with this path.
    pub fn permits(&self, path: &str, caller: &SpiffeId) -> bool {
        match self.find(path) {
            None => false,
            Some((_, Callers::Everyone)) => caller.is_in(&self.trust_domain),
            Some((_, Callers::These(callers))) => callers.contains(caller),
        }
    }

    /// Who may use the method with this path; nobody where there is no row about it.
    pub fn callers(&self, path: &str) -> Option<&Callers> {
        self.find(path).map(|(_, callers)| callers)
    }

    /// The path of the row that is about the method with this path.
    pub fn row(&self, path: &str) -> Option<&'static str> {
        self.find(path).map(|(row, _)| row)
    }

    /// The rows, for printing: the paths of methods, then those of whole services, and their callers.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &Callers)> {
        let methods = self.methods.iter().map(|(path, callers)| (*path, callers));
        methods.chain(self.services.values().map(|(row, callers)| (*row, callers)))
    }

    fn find(&self, path: &str) -> Option<(&'static str, &Callers)> {
        if let Some((row, callers)) = self.methods.get_key_value(path) {
            return Some((*row, callers));
        }
        self.services.get(service_of(path)?).map(|(row, callers)| (*row, callers))
    }

    fn with(mut self, path: &'static str, callers: Callers) -> Self {
        assert!(is_path(path), "{path} is no /package.Service/Method");
        let is_new = match path.strip_suffix('*') {
            Some(service) => self.services.insert(service, (path, callers)).is_none(),
            None => self.methods.insert(path, callers).is_none(),
        };
        assert!(is_new, "{path} stands twice in the table");
        self
    }

    fn caller(&self, name: &'static str) -> SpiffeId {
        match name {
            Self::OPERATOR => SpiffeId::operator(&self.trust_domain),
            service => SpiffeId::service(&self.trust_domain, &ServiceName::new(service)),
        }
    }
}

/// `/package.Service/` of `/package.Service/Method`.
fn service_of(path: &str) -> Option<&str> {
    path.rfind('/').map(|slash| &path[..=slash])
}

fn is_path(path: &str) -> bool {
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    parts.is_some_and(|(service, method)| name(service) && (name(method) || method == "*"))
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::These(callers) => {
                let names: Vec<_> = callers.iter().map(SpiffeId::path).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> AllowTable {
        AllowTable::new(&TrustDomain::default())
            .allow("/userservice.UserService/GetUser", &["order-service", "operator"])
            .allow("/userservice.UserService/*", &["auth-service"])
            .allow_everyone("/grpc.health.v1.Health/*")
    }

    fn service(name: &'static str) -> SpiffeId {
        SpiffeId::service(&TrustDomain::default(), &ServiceName::new(name))
    }

    #[test]
    fn a_caller_may_use_what_the_table_says_and_nothing_else() {
        let operator = SpiffeId::operator(&TrustDomain::default());
        let cases = [
            ("/userservice.UserService/GetUser", service("order-service"), true),
            ("/userservice.UserService/GetUser", operator.clone(), true),
            ("/userservice.UserService/GetUser", service("payment-service"), false),
            ("/userservice.UserService/DeleteUser", service("auth-service"), true),
            ("/userservice.UserService/DeleteUser", service("order-service"), false),
            ("/userservice.UserService/DeleteUser", operator, false),
            ("/userservice.UserService/GetUser/", service("order-service"), false),
            ("/userservice.UserService/getuser", service("order-service"), false),
            ("/userservice.Other/GetUser", service("auth-service"), false),
            ("/grpc.health.v1.Health/Check", service("payment-service"), true),
            ("", service("auth-service"), false),
            ("/", service("auth-service"), false),
        ];
        for (path, caller, expected) in cases {
            assert_eq!(table().permits(path, &caller), expected, "{caller} at {path}");
        }
    }

    #[test]
    fn the_row_of_a_method_stands_before_that_of_its_service() {
        assert!(!table().permits("/userservice.UserService/GetUser", &service("auth-service")));
    }

    #[test]
    fn an_identity_of_another_trust_domain_may_do_nothing() {
        let elsewhere = "elsewhere.internal".parse().unwrap();
        let stranger = SpiffeId::service(&elsewhere, &ServiceName::new("auth-service"));
        for path in ["/userservice.UserService/DeleteUser", "/grpc.health.v1.Health/Check"] {
            assert!(!table().permits(path, &stranger), "{path}");
        }
    }

    #[test]
    fn an_empty_table_refuses_everything() {
        let table = AllowTable::new(&TrustDomain::default());
        assert!(!table.permits("/userservice.UserService/GetUser", &service("auth-service")));
    }

    #[test]
    fn the_table_can_be_printed() {
        let rows: Vec<_> = table().rows().map(|(path, callers)| format!("{path}: {callers}")).collect();
        assert_eq!(
            rows,
            [
                "/userservice.UserService/GetUser: service/order-service, operator",
                "/grpc.health.v1.Health/*: everyone",
                "/userservice.UserService/*: service/auth-service",
            ]
        );
    }

    #[test]
    #[should_panic(expected = "/userservice.UserService/* stands twice in the table")]
    fn a_row_that_stands_twice_is_refused() {
        let _table = table().allow("/userservice.UserService/*", &[]);
    }

    #[test]
    #[should_panic(expected = "is no /package.Service/Method")]
    fn a_path_that_is_none_is_refused() {
        let _table = table().allow("userservice.UserService/GetUser", &[]);
    }
}
