//! The way in: what the public may ask of the platform goes to the service that answers it, and nothing else does.
//!
//! A gateway keeps nothing. Routes are told at the start, instances by discovery, keys and revocations by the service
//! that issues the tokens; after a start all of it is learnt anew.

mod client;
pub mod config;
mod headers;
mod health;
mod http;
mod limits;
mod path;
mod revocations;
mod routes;
mod upstream;

use std::sync::Arc;

use ::http::HeaderValue;
use chassis::{Assembly, Background, Front, KeySource, Platform, Service, StartError, UserTokens};
use types::ServiceName;

pub use self::client::{Proxies, WrongProxy};
pub use self::config::Config;
use self::health::Neighbours;
use self::http::Gateway;
use self::limits::Limits;
pub use self::limits::LimitsConfig;
use self::revocations::{Follower, Revocations};
pub use self::routes::{Routes, RoutesError, WrongRoute};
use self::upstream::Upstream;

/// Who issues access tokens and takes them back.
const ISSUER: ServiceName = ServiceName::new("auth-service");

/// The gateway, listening and not yet answering.
///
/// # Errors
/// [`StartError`]: its ports cannot be had, or the certificate for the public is none.
pub async fn build(config: Config, platform: Platform) -> Result<Service, StartError> {
    let Config { front, routes, limits, proxies } = config;
    let (outbound, bounds) = (platform.outbound(), platform.listeners.bounds);
    let (tokens, keys) = UserTokens::new(&platform, KeySource::Issuer);
    let revocations = Arc::new(Revocations::new(Revocations::MOST));
    let follower = Follower::new(&revocations, outbound.grpc(&ISSUER), &platform);
    let (services, largest_body) = (routes.services().iter(), routes.largest_body(bounds.body));
    let neighbours = Neighbours::new(services.map(|name| (name.clone(), outbound.grpc(name))));
    let (asked, check) = (Arc::clone(&neighbours), platform.health.check("services"));
    let serves_clients = proxies.is_empty() && !front.addr.ip().is_loopback();
    let gateway = Gateway {
        upstreams: Upstream::of(&routes, &outbound),
        routes,
        tokens,
        revocations,
        limits: Limits::new(&limits, &platform.env.random),
        scheme: HeaderValue::from_static(front.scheme()),
        health: platform.health.clone(),
        neighbours,
        health_route: health::PATH.into(),
        timeout: bounds.answer,
        largest_body: bounds.body,
        proxies,
    };
    let assembly = Assembly {
        front: Some(Front {
            config: front,
            passes_on: gateway.routes.permissions(),
            handler: gateway.handler(),
            largest_body,
            serves_clients,
        }),
        background: vec![
            keys,
            Background::new("revocations", |stop| follower.follow(stop)),
            Background::new("neighbours", |stop| asked.keep_asking(check, stop)),
        ],
        ..Assembly::new(&platform.trust_domain)
    };
    assembly.bind(&platform).await
}
