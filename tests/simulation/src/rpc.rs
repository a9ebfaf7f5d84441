//! gRPC to one instance, as those who are not simulated services call it.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use runtime::{Io, Net};
use service_auth::{Alpn, Identity, SpiffeId, TrustDomain};
use tonic::Request;
use tonic::transport::{Channel, Endpoint, Error};
use types::ServiceName;

use crate::hosts::{GRPC_PORT, Site};
use crate::net::{SimulatedNetwork, Traffic};

/// How long a request is worth waiting for; it travels with the request.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// For TCP and TLS together, some six trips.
const CONNECT: Duration = Duration::from_secs(2);

/// A connection to one instance, made when it is needed and dropped once it is in doubt: the simulated TCP
/// sends nothing twice, so that a connection never recovers from a partition.
pub(crate) struct Connection {
    instance: &'static str,
    callee: SpiffeId,
    net: Net,
    identity: Identity,
    channel: Option<Channel>,
}

impl Connection {
    /// From the host `from` to an instance at `site`.
    pub(crate) fn new(
        from: &'static str,
        site: Site,
        instance: &'static str,
        identity: &Identity,
        traffic: &Traffic,
    ) -> Self {
        let net = Net::over(SimulatedNetwork::of(from, traffic));
        let callee = SpiffeId::service(&TrustDomain::default(), &ServiceName::new(site.service()));
        Self { instance, callee, net, identity: identity.clone(), channel: None }
    }

    /// The channel, which is to be kept only if no answer on it was missed. `None`: nothing can be sent.
    pub(crate) async fn take(&mut self) -> Option<Channel> {
        match self.channel.take() {
            Some(channel) => Some(channel),
            None => tokio::time::timeout(CONNECT, self.connect()).await.ok()?.ok(),
        }
    }

    /// Keeps the channel for the next time.
    pub(crate) fn keep(&mut self, channel: Channel) {
        self.channel = Some(channel);
    }

    async fn connect(&self) -> Result<Channel, Error> {
        let (instance, callee) = (self.instance, self.callee.clone());
        let (net, identity) = (self.net.clone(), self.identity.clone());
        let connector = tower::service_fn(move |_| {
            let (net, identity, callee) = (net.clone(), identity.clone(), callee.clone());
            async move { dial(instance, &net, &identity, &callee).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://instance").connect_with_connector(connector).await
    }
}

async fn dial(instance: &str, net: &Net, identity: &Identity, callee: &SpiffeId) -> io::Result<Io> {
    let io = net.dial(&format!("{instance}:{GRPC_PORT}")).await?;
    let secured = identity.connect(io, callee, Alpn::H2).await.map_err(io::Error::other)?;
    Ok(secured.io)
}

/// The message, with the deadline that it travels with.
pub(crate) fn within_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
