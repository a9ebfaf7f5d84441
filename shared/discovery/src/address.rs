//! What addresses are like, and how a port and the pair of them stand in a list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The ports that services listen on unless they are told others.
pub(crate) const HTTP_PORT: u16 = 3000;
pub(crate) const GRPC_PORT: u16 = 50051;

/// What stands behind an address: `:HTTP_PORT:GRPC_PORT`, or nothing for the ports above.
pub(crate) fn ports(text: &str) -> Option<(u16, u16)> {
    match text.strip_prefix(':') {
        Some(ports) => {
            let (http, grpc) = ports.split_once(':')?;
            Some((port(http)?, port(grpc)?))
        }
        None => text.is_empty().then_some((HTTP_PORT, GRPC_PORT)),
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0)
}

/// A listener on every address of the machine is reached from this machine over loopback.
pub(crate) fn within_reach(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
