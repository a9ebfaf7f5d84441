//! How a port and the pair of them stand in a list.

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
