use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest, User};
use runtime::{Io, Net};
use service_auth::{Alpn, Identity, SpiffeId, TrustDomain};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use types::{ErrorClass, ServiceName};

use crate::history::{Account, Operation, Outcome};
use crate::hosts::{GRPC_PORT, SERVICE};
use crate::net::SimulatedNetwork;

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
    identity: Identity,
    channel: Option<Channel>,
}

impl Connection {
    pub(super) fn new(instance: &'static str, identity: Identity) -> Self {
        Self { instance, identity, channel: None }
    }

    /// Sends the request, and tells what is known about it in the end.
    pub(super) async fn ask(&mut self, operation: &Operation) -> Outcome {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => match tokio::time::timeout(CONNECT, self.connect()).await {
                Ok(Ok(channel)) => channel,
                // Nothing was sent.
                Ok(Err(_)) | Err(_) => return Outcome::NotDone,
            },
        };
        let answer = tokio::time::timeout(DEADLINE * 2, send(channel.clone(), operation)).await;
        let outcome = answer.unwrap_or(Outcome::Unknown);
        if outcome != Outcome::Unknown {
            self.channel = Some(channel);
        }
        outcome
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let (instance, identity) = (self.instance, self.identity.clone());
        let connector = tower::service_fn(move |_| {
            let identity = identity.clone();
            async move { dial(instance, &identity).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://user-service").connect_with_connector(connector).await
    }
}

async fn dial(instance: &str, identity: &Identity) -> io::Result<Io> {
    let net = Net::over(SimulatedNetwork);
    let io = net.dial(&format!("{instance}:{GRPC_PORT}")).await?;
    let service: ServiceName = SERVICE.parse().map_err(io::Error::other)?;
    let callee = SpiffeId::service(&TrustDomain::default(), &service);
    let secured = identity.connect(io, &callee, Alpn::H2).await.map_err(io::Error::other)?;
    Ok(secured.io)
}

async fn send(channel: Channel, operation: &Operation) -> Outcome {
    let mut service = UserServiceClient::new(channel);
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
