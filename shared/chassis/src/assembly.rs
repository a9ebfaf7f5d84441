//! A service before it listens, and the binding of its ports.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::Router;
use database::Database;
use runtime::Deadline;
use service_auth::{AllowTable, Alpn, TrustDomain};
use telemetry::Red;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::inbound::{Handler, Inbound, Kind, Shedding, Stack};
use crate::serve::{Server, Transport};
use crate::{
    Access, Check, Edge, Finding, Front, Gate, KeySource, Operation, Platform, Service, StartError,
    UserTokens, admin, grpc, knowledge, operations,
};

/// What a service is made of.
pub struct Assembly {
    /// The edge API, which the gateway alone reaches.
    pub http: Edge,
    /// For the gateway: what the public reaches, in the place of an edge API of its own.
    pub front: Option<Front>,
    /// Where the keys come from that its users' access tokens are checked with.
    pub keys: KeySource,
    /// The internal API.
    pub grpc: Routes,
    /// Who may call which method of it. What has no row is refused.
    pub allow: AllowTable,
    /// Its contracts as encoded descriptor sets, for reflection.
    pub contracts: &'static [&'static [u8]],
    /// What runs beside the listeners.
    pub background: Vec<Background>,
    /// What is done last, in this order.
    pub closing: Vec<Closing>,
}

/// A task that runs beside the listeners, and is told to stop once the last request has been answered.
pub struct Background {
    pub(crate) name: &'static str,
    pub(crate) start: Box<dyn FnOnce(CancellationToken) -> Work + Send>,
}

/// Something to do when everything else has ended, such as closing the database.
pub struct Closing {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Background {
    /// A task that ends when its token is cancelled.
    pub fn new<F>(name: &'static str, start: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, start: Box::new(move |stop| Box::pin(start(stop))) }
    }
}

impl Closing {
    /// Does `work` at the end.
    pub fn new(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, work: Box::pin(work) }
    }
}

impl Assembly {
    /// A service that answers nothing yet, to fill in what it has no use for.
    pub fn new(trust_domain: &TrustDomain) -> Self {
        Self {
            http: Edge::new(),
            front: None,
            keys: KeySource::Issuer,
            grpc: Routes::default(),
            allow: AllowTable::new(trust_domain),
            contracts: &[],
            background: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// The same with a database, on which readiness depends and which is closed last.
    #[must_use]
    pub fn with_database(mut self, platform: &Platform, database: &Database) -> Self {
        let (check, pinged, closed) = (platform.health.check("database"), database.clone(), database.clone());
        // It has just been opened.
        check.report(Finding::Ok);
        self.background.push(Background::new("database-check", move |stop| {
            let ping = move || {
                let database = pinged.clone();
                async move { database.ping(Deadline::within(Check::PATIENCE)).await }
            };
            check.keep_asking(ping, stop)
        }));
        self.closing.push(Closing::new("database", async move { closed.close().await }));
        self
    }

    /// Takes the ports. From here on callers can connect; they are answered once the service runs.
    ///
    /// # Errors
    /// [`StartError`]: a port cannot be had, or the contracts are broken.
    pub async fn bind(self, platform: &Platform) -> Result<Service, StartError> {
        let Platform { identity, metrics, health, listeners, .. } = platform;
        let binder = Binder { platform, red: Red::new(metrics) };
        let allow = grpc::with_house_rows(self.allow);
        let methods = grpc::methods(self.contracts, &allow)?;
        binder.red.know_rpcs(methods.iter().map(String::as_str));
        let passes_on = self.front.as_ref().map_or(&[][..], |front| &front.passes_on);
        let permissions = operations::permissions(&allow, &methods, self.http.operations(), passes_on);
        let internal = self.grpc.add_service(operations::service(platform, permissions));
        let internal = grpc::routes(internal, self.contracts, &allow, health.clone())?;

        let (http, its_own) = match self.front {
            Some(front) => binder.front(front).await?,
            None => binder.edge(self.http, self.keys).await?,
        };
        let internal =
            binder.stack(Kind::Grpc, Gate::methods(allow, metrics), routes(internal.into_axum_router()));
        let admin = binder.stack(Kind::Http, Gate::OPEN, routes(admin::routes(health, metrics.clone())));
        let admin = Stack { shedding: Shedding::Never, ..admin };

        let renewal = platform.renewal.clone().map(|renewal| renewal.of(identity.clone()));
        let grpc = Transport::Mtls(identity.clone(), Alpn::H2);
        let background = self.background.into_iter().chain(its_own).chain(renewal);
        Ok(Service {
            http,
            grpc: binder.bind("grpc", listeners.grpc, grpc, internal).await?,
            admin: binder.bind("admin", listeners.admin, Transport::Plain, admin).await?,
            platform: platform.clone(),
            background: background.chain(knowledge::check(platform)).collect(),
            closing: self.closing,
        })
    }
}

fn routes(router: Router) -> Handler {
    Handler::Routes(router)
}

/// What all listeners of a service share.
struct Binder<'a> {
    platform: &'a Platform,
    red: Red,
}

impl Binder<'_> {
    /// The listener of an edge API, and what keeps the keys for its users' tokens.
    async fn edge(&self, edge: Edge, keys: KeySource) -> Result<(Bound, Option<Background>), StartError> {
        let Platform { identity, trust_domain, metrics, listeners, .. } = self.platform;
        let asks = edge.asks_for_users();
        let (tokens, keeping) = UserTokens::new(self.platform, keys);
        let for_operators = |operation: &&Operation| operation.access == Access::Operators;
        let operators = edge.operations().iter().filter(for_operators).cloned().collect();
        let router = edge.into_router(tokens);
        let stack = self.stack(Kind::Http, Gate::edge(trust_domain, metrics), routes(router));
        let stack = Stack { operators, ..stack };
        let transport = Transport::Mtls(identity.clone(), Alpn::H2OrHttp1);
        Ok((self.bind("http", listeners.http, transport, stack).await?, asks.then_some(keeping)))
    }

    async fn front(&self, front: Front) -> Result<(Bound, Option<Background>), StartError> {
        let Front { config, handler, largest_body, serves_clients, passes_on: _ } = front;
        let (transport, renewal) = config
            .transport(self.platform)
            .map_err(|error| StartError::PublicCertificate(Box::new(error)))?;
        let mut stack = self.stack(Kind::Http, Gate::OPEN, Handler::Raw(handler));
        stack.bounds.body = largest_body;
        let mut bound = self.bind("public", config.addr, transport, stack).await?;
        if !serves_clients {
            bound.server.limits.per_address = bound.server.limits.connections;
        }
        Ok((bound, renewal))
    }

    fn stack(&self, kind: Kind, gate: Gate, handler: Handler) -> Stack {
        let Platform { env, health, listeners, .. } = self.platform;
        let (env, red, health) = (env.clone(), self.red.clone(), health.clone());
        let (bounds, shedding) = (listeners.bounds, Shedding::ByLoad);
        Stack { kind, gate, handler, bounds, shedding, operators: Vec::new(), env, red, health }
    }

    async fn bind(
        &self,
        name: &'static str,
        addr: SocketAddr,
        transport: Transport,
        stack: Stack,
    ) -> Result<Bound, StartError> {
        let Platform { env, listeners, .. } = self.platform;
        let failed = |source| StartError::Listen { listener: name, addr, source };
        let listener = env.net.bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (inbound, limits) = (Inbound::new(stack), listeners.limits);
        Ok(Bound { addr, server: Server { name, listener, transport, inbound, limits } })
    }
}

/// A server and the address it really listens on.
pub(crate) struct Bound {
    pub(crate) addr: SocketAddr,
    pub(crate) server: Server,
}
