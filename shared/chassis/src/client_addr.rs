//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::HeaderName;
use http::request::Parts;
use service_auth::Peer;
use types::ErrorClass;

use crate::Problem;

/// Set by the gateway, which drops what came from outside under this name.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The SPIFFE path of the one peer that speaks for addresses other than its own. The trust domain is ours, or there
/// would be no connection.
const GATEWAY: &str = "service/api-gateway";

/// The address of the client that a request began with, for limits and for people to recognise their sessions by.
///
/// What the gateway says, where the gateway calls; for everybody else, the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(
    /// The address.
    pub IpAddr,
);

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(connected) = connected.expect("the inbound stack tells it");
        let is_gateway = parts.extensions.get::<Peer>().is_some_and(|Peer(id)| id.path() == GATEWAY);
        if !is_gateway {
            return Ok(Self(connected.ip().to_canonical()));
        }
        let told = parts.headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()?.parse().ok());
        let wrong = || Problem::new(ErrorClass::Invalid, "the header x-forwarded-for must be an IP address");
        told.map(|address: IpAddr| Self(address.to_canonical())).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn told(peer: Option<&str>, header: Option<&str>) -> Result<String, String> {
        let connected: SocketAddr = "[::ffff:10.0.0.7]:40000".parse().unwrap();
        let mut request = Request::builder().extension(ConnectInfo(connected));
        if let Some(peer) = peer {
            request = request.extension(Peer(format!("spiffe://flotilla.internal/{peer}").parse().unwrap()));
        }
        if let Some(header) = header {
            request = request.header("x-forwarded-for", header);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let told = ClientAddr::from_request_parts(&mut parts, &()).await;
        told.map(|ClientAddr(addr)| addr.to_string()).map_err(|problem| problem.detail().to_owned())
    }

    #[tokio::test]
    async fn the_gateway_tells_whom_it_speaks_for_and_nobody_else_does() {
        let gateway = Some("service/api-gateway");
        for (header, address) in
            [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(told(gateway, Some(header)).await.as_deref(), Ok(address));
        }
        for peer in [None, Some("operator"), Some("service/auth-service"), Some("service/api-gateway/2")] {
            assert_eq!(told(peer, Some("192.0.2.1")).await.as_deref(), Ok("10.0.0.7"), "{peer:?}");
        }
    }

    #[tokio::test]
    async fn the_gateway_must_tell_one_address() {
        let gateway = Some("service/api-gateway");
        let wrong = Err("the header x-forwarded-for must be an IP address".to_owned());
        for header in [None, Some(""), Some("unknown"), Some("192.0.2.1:80"), Some("192.0.2.1, 192.0.2.2")] {
            assert_eq!(told(gateway, header).await, wrong, "{header:?}");
        }
    }
}
