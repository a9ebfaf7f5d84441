//! Who is in the simulated world.

use std::time::Duration;

/// The instances of user-service, on one database: host name and the name of the VFS it writes through.
pub const INSTANCES: [&str; 2] = ["users-a", "users-b"];

/// Those who use them.
pub const CLIENTS: [&str; 4] = ["client-a", "client-b", "client-c", "client-d"];

/// The longest a message takes while nothing is wrong.
pub const LATENCY: Duration = Duration::from_millis(20);

/// Where each instance answers gRPC.
pub const GRPC_PORT: u16 = 50_051;

/// The service that the instances are of.
pub const SERVICE: &str = "user-service";
