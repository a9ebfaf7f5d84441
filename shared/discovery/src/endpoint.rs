use std::net::SocketAddr;
use std::sync::Arc;

/// Where one instance of a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its edge API.
    pub http: SocketAddr,
    /// Its internal API.
    pub grpc: SocketAddr,
}

/// The instances of a service, each once, in the order of their addresses.
pub type Endpoints = Arc<[Endpoint]>;
