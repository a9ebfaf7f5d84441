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

/// Why an address is not where an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoMachine {
    #[error("{0} is not the address of one machine")]
    NotOne(IpAddr),
    /// One of a link, which says nothing without the link (RFC 4007).
    #[error("{0} means another machine in every network")]
    Elsewhere(IpAddr),
}

/// `ip` as it is written by everybody, if it leads to a machine.
pub(crate) fn of_one_machine(ip: IpAddr) -> Result<IpAddr, NoMachine> {
    let ip = ip.to_canonical();
    let is_everybody = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if ip.is_unspecified() || ip.is_multicast() || is_everybody {
        return Err(NoMachine::NotOne(ip));
    }
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(NoMachine::Elsewhere(ip)),
        ip => Ok(ip),
    }
}
