use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest, User};
use runtime::{Io, Net};
use service_auth::{Alpn, Identity, SpiffeId, TrustDomain};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use types::{ErrorClass, ServiceName};

use crate::history::{Account, Micros, Operation, Outcome};
use crate::hosts::{GRPC_PORT, SERVICE};
use crate::net::{SimulatedNetwork, Traffic};
use crate::time;

/// How long a request is worth waiting for; it travels with the request.
const DEADLINE: Duration = Duration::from_secs(2);

/// For TCP and TLS together, some six trips.
const CONNECT: Duration = Duration::from_secs(2);

/// The service's rules for passwords are met; what it costs to hash is configured away.
const PASSWORD: &str = "correct horse battery staple";

/// A connection to one instance, made when it is needed and dropped once it is in doubt: the simulated TCP
/// sends nothing twice, so that a connection never recovers from a partition.
pub(super) struct Connection {
    instance: &'static str,
    net: Net,
    identity: Identity,
    channel: Option<Channel>,
}

/// How a request ended, and when.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) ended: Micros,
}

impl Answer {
    fn now(outcome: Outcome) -> Self {
        Self { outcome, ended: time::micros() }
    }
}

impl Connection {
    /// From the host `client` to the host `instance`.
    pub(super) fn new(
        client: &'static str,
        instance: &'static str,
        identity: Identity,
        traffic: &Traffic,
    ) -> Self {
        let net = Net::over(SimulatedNetwork::of(client, traffic));
        Self { instance, net, identity, channel: None }
    }

    /// Sends all requests at once, and tells what is known about each in the end.
    pub(super) async fn ask(&mut self, operations: &[Operation]) -> Vec<Answer> {
        let Some(channel) = self.channel().await else {
            // Nothing was sent.
            return operations.iter().map(|_| Answer::now(Outcome::NotDone)).collect();
        };
        let answers = join_all(operations.iter().map(|operation| send_in_time(&channel, operation))).await;
        if answers.iter().all(|answer| answer.outcome != Outcome::Unknown) {
            self.channel = Some(channel);
        }
        answers
    }

    async fn channel(&mut self) -> Option<Channel> {
        match self.channel.take() {
            Some(channel) => Some(channel),
            None => tokio::time::timeout(CONNECT, self.connect()).await.ok()?.ok(),
        }
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let (instance, net, identity) = (self.instance, self.net.clone(), self.identity.clone());
        let connector = tower::service_fn(move |_| {
            let (net, identity) = (net.clone(), identity.clone());
            async move { dial(instance, &net, &identity).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://user-service").connect_with_connector(connector).await
    }
}

async fn dial(instance: &str, net: &Net, identity: &Identity) -> io::Result<Io> {
    let io = net.dial(&format!("{instance}:{GRPC_PORT}")).await?;
    let service: ServiceName = SERVICE.parse().map_err(io::Error::other)?;
    let callee = SpiffeId::service(&TrustDomain::default(), &service);
    let secured = identity.connect(io, &callee, Alpn::H2).await.map_err(io::Error::other)?;
    Ok(secured.io)
}

async fn send_in_time(channel: &Channel, operation: &Operation) -> Answer {
    // The deadline itself ends nearly every wait; twice as long bounds whatever does not keep to it.
    let answer = tokio::time::timeout(DEADLINE * 2, send(channel, operation)).await;
    Answer::now(answer.unwrap_or(Outcome::Unknown))
}

async fn send(channel: &Channel, operation: &Operation) -> Outcome {
    let mut service = UserServiceClient::new(channel.clone());
    let answer = match operation.clone() {
        Operation::Create { email, name } => {
            let password = PASSWORD.to_owned();
            service.create_user(within_deadline(CreateUserRequest { email, name, password })).await.map(shown)
        }
        Operation::Get { id } => service.get_user(within_deadline(GetUserRequest { id })).await.map(shown),
        Operation::Update { id, email, name } => {
            service.update_user(within_deadline(UpdateUserRequest { id, email, name })).await.map(shown)
        }
        Operation::Delete { id } => {
            service.delete_user(within_deadline(DeleteUserRequest { id })).await.map(|_| Outcome::Done(None))
        }
    };
    answer.unwrap_or_else(|status| refusal(&status))
}

fn within_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn shown(answer: Response<User>) -> Outcome {
    let User { id, email, name, .. } = answer.into_inner();
    Outcome::Done(Some(Account { id, email, name }))
}

fn refusal(status: &Status) -> Outcome {
    match proto::status::class(status) {
        ErrorClass::NotFound => Outcome::NotFound,
        ErrorClass::Conflict => Outcome::EmailTaken,
        ErrorClass::Unavailable | ErrorClass::TooMany | ErrorClass::Precondition => Outcome::NotDone,
        ErrorClass::Unknown => Outcome::Unknown,
        class => Outcome::Unexpected(format!("{}: {}", class.as_str(), status.message())),
    }
}
