//! Who is in the simulated world.

use std::time::Duration;

/// A machine with the instances of one service, and with the disk of the database that they share. The gateway has a
/// disk that it never uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// Three instances of user-service.
    Users,
    /// Three instances of auth-service.
    Auth,
    /// One api-gateway.
    Gateway,
}

impl Site {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Users, Self::Auth, Self::Gateway];

    /// The service that the instances are of.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Users => "user-service",
            Self::Auth => "auth-service",
            Self::Gateway => "api-gateway",
        }
    }

    /// The instances: host name, and the name of the VFS that each writes through.
    pub const fn instances(self) -> &'static [&'static str] {
        match self {
            Self::Users => &USERS,
            Self::Auth => &AUTH,
            Self::Gateway => &[GATEWAY],
        }
    }

    /// Where the instance is.
    pub fn of(instance: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|site| site.instances().contains(&instance))
    }
}

/// The instances of user-service.
pub const USERS: [&str; 3] = ["users-a", "users-b", "users-c"];

/// The instances of auth-service.
pub const AUTH: [&str; 3] = ["auth-a", "auth-b", "auth-c"];

/// The one way in for customers.
pub const GATEWAY: &str = "gateway";

/// All instances.
pub const INSTANCES: [&str; 7] = [USERS[0], USERS[1], USERS[2], AUTH[0], AUTH[1], AUTH[2], GATEWAY];

/// Those who use user-service as other services do.
pub const CLIENTS: [&str; 4] = ["client-a", "client-b", "client-c", "client-d"];

/// Those who use the gateway.
pub const CUSTOMERS: [&str; 4] = ["customer-a", "customer-b", "customer-c", "customer-d"];

/// Who changes roles and keys.
pub const OPERATOR: &str = "operator";

/// The longest a message takes while nothing is wrong.
pub const LATENCY: Duration = Duration::from_millis(20);

/// Where each instance answers HTTP.
pub const HTTP_PORT: u16 = 3_000;

/// Where each instance answers gRPC.
pub const GRPC_PORT: u16 = 50_051;

/// Where each instance tells how it is.
pub const ADMIN_PORT: u16 = 9_000;

/// Where the gateway answers customers.
pub const PUBLIC_PORT: u16 = 8_080;

/// Two hosts that talk: who asks, and the instance that is asked. Of auth-service and user-service, which ask each
/// other, auth-service is named first.
pub type Way = (&'static str, &'static str);

/// Every way between two hosts that talk.
pub fn ways() -> Vec<Way> {
    let mut ways = between(&CLIENTS, &USERS);
    ways.extend(between(&CUSTOMERS, &[GATEWAY]));
    ways.extend(between(&[OPERATOR], &USERS));
    ways.extend(between(&[OPERATOR], &AUTH));
    ways.extend(inner_ways());
    ways
}

/// Those between two instances.
pub fn inner_ways() -> Vec<Way> {
    let mut ways = between(&[GATEWAY], &AUTH);
    ways.extend(between(&[GATEWAY], &USERS));
    ways.extend(between(&AUTH, &USERS));
    ways
}

fn between(these: &[&'static str], those: &[&'static str]) -> Vec<Way> {
    these.iter().flat_map(|this| those.iter().map(move |that| (*this, *that))).collect()
}
