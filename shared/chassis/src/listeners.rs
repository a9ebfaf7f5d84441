use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::front::GATEWAY;
use crate::{Bounds, Configure, Limits, Settings};

/// Where a service listens, how much it takes on there, and how it takes its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// The edge API, for the gateway; the gateway itself has none here.
    pub http: SocketAddr,
    /// The internal API.
    pub grpc: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// How long it goes on accepting after it has said that it is not ready.
    pub drain_delay: Duration,
    /// How long the whole end may take.
    pub drain_timeout: Duration,
    /// How much each listener takes on.
    pub limits: Limits,
    /// How much of a request there may be.
    pub bounds: Bounds,
}

impl Listeners {
    /// A service of its own is reached from other machines; what is not public is behind mTLS.
    const EVERYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// About what it takes until every node of a cluster has stopped sending to an endpoint that is not ready.
    const DRAIN_DELAY: Duration = Duration::from_secs(3);
    const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);

    /// Under the 30 s after which Kubernetes kills, with time to spare for the end of the process itself.
    const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
    const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

    /// Free ports of this machine, not reached from others, and no delay: for tests and for compositions, which
    /// tell each other the real ports.
    pub fn local() -> Self {
        let free = SocketAddr::new(Self::LOOPBACK, 0);
        Self {
            http: free,
            grpc: free,
            admin: free,
            drain_delay: Duration::ZERO,
            drain_timeout: Self::DRAIN_TIMEOUT,
            limits: Limits::default(),
            bounds: Bounds::default(),
        }
    }

    /// These, except for what the settings say.
    #[must_use]
    pub fn or(self, settings: &mut Settings) -> Self {
        let address = settings.parsed("BIND_ADDRESS", "an IP address to listen on", self.http.ip());
        let right = "an IP address for health and metrics";
        let admins =
            settings.optional("ADMIN_BIND_ADDRESS", right, |text| text.parse().ok()).unwrap_or(address);
        let is_gateway = *settings.service() == GATEWAY;
        let mut at = |name, address, default: SocketAddr| {
            SocketAddr::new(address, settings.port(name, default.port()))
        };
        let http = match is_gateway {
            // Its edge API is where `FrontConfig` says.
            true => SocketAddr::new(address, 0),
            false => at("HTTP_PORT", address, self.http),
        };
        let (grpc, admin) = (at("GRPC_PORT", address, self.grpc), at("ADMIN_PORT", admins, self.admin));
        let drain_timeout = settings.duration("DRAIN_TIMEOUT", self.drain_timeout, Self::TIMEOUTS);
        let default_delay = self.drain_delay.min(drain_timeout / 2);
        let drain_delay = settings.duration("DRAIN_DELAY", default_delay, Self::DELAYS);
        if drain_delay >= drain_timeout {
            settings.reject("DRAIN_DELAY", "shorter than DRAIN_TIMEOUT, which it is part of");
        }
        refuse_same_port(settings, [("HTTP_PORT", http), ("GRPC_PORT", grpc), ("ADMIN_PORT", admin)]);
        let (limits, bounds) = (Limits::configure(settings), Bounds::configure(settings));
        Self { http, grpc, admin, drain_delay, drain_timeout, limits, bounds }
    }
}

impl Configure for Listeners {
    /// The guide's ports, on every address.
    fn configure(settings: &mut Settings) -> Self {
        let at = |port| SocketAddr::new(Self::EVERYWHERE, port);
        let (http, grpc, admin) = (at(3000), at(50051), at(9000));
        Self { http, grpc, admin, drain_delay: Self::DRAIN_DELAY, ..Self::local() }.or(settings)
    }
}

fn refuse_same_port(settings: &mut Settings, ports: [(&'static str, SocketAddr); 3]) {
    for (at, (name, addr)) in ports.iter().enumerate() {
        if let Some((other, _)) = ports[..at].iter().find(|(_, earlier)| earlier == addr && addr.port() != 0)
        {
            settings.reject(name, format!("another port than {other}"));
        }
    }
}
