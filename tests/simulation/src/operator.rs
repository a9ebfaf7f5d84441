//! The operator: gives roles and makes keys, by the methods that only operators may call.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proto::flotilla::auth::v1::keys_service_client::KeysServiceClient;
use proto::flotilla::auth::v1::{RotateKeysRequest, RotateKeysResponse};
use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::flotilla::users::v1::{ChangeRoleRequest, Role};
use runtime::Random;
use service_auth::Identity;
use tonic::Status;
use tonic::transport::Channel;
use types::ErrorClass;

use crate::client::Shared;
use crate::history::{Answer, Call, Refusal, Request};
use crate::hosts::{AUTH, OPERATOR, Site, USERS};
use crate::net::Traffic;
use crate::rpc::{Connection, DEADLINE, within_deadline};
use crate::time;

/// The operator, who knows the accounts that customers know.
pub struct Operator {
    random: Random,
    shared: Rc<RefCell<Shared>>,
    users: [Connection; USERS.len()],
    auth: [Connection; AUTH.len()],
}

impl Operator {
    /// With the operator's certificate.
    pub fn new(identity: &Identity, random: Random, shared: Rc<RefCell<Shared>>, traffic: &Traffic) -> Self {
        let connection = |site| move |instance| Connection::new(OPERATOR, site, instance, identity, traffic);
        Self {
            random,
            shared,
            users: USERS.map(connection(Site::Users)),
            auth: AUTH.map(connection(Site::Auth)),
        }
    }

    /// Changes one thing after the other until `end`.
    pub async fn run(mut self, end: Duration) {
        // So that the new key comes into use before the end.
        while self.ask(Request::RotateKeys).await {
            self.pause().await;
        }
        while time::elapsed() < end {
            let request = self.draw();
            for _ in 0..self.random.below(3) {
                if !self.ask(request.clone()).await {
                    break;
                }
            }
            self.pause().await;
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(self.random.jitter(Duration::from_millis(1_200))).await;
    }

    fn draw(&self) -> Request {
        let shared = self.shared.borrow();
        let ids = shared.crowd.ids();
        let index = usize::try_from(self.random.below(ids.len() as u64)).expect("it is below the length");
        match ids.get(index) {
            Some(id) if self.random.below(10) > 0 => {
                let role = if self.random.below(2) == 0 { "customer" } else { "operator" };
                Request::ChangeRole { id: (*id).to_owned(), role: role.to_owned() }
            }
            _ => Request::RotateKeys,
        }
    }

    /// Asks one instance. Whether it may be asked again.
    async fn ask(&mut self, request: Request) -> bool {
        let instances = match request {
            Request::RotateKeys => &mut self.auth[..],
            _ => &mut self.users[..],
        };
        let index = usize::try_from(self.random.below(instances.len() as u64)).expect("it is an index");
        let started = time::micros();
        let answer = ask(&mut instances[index], &request).await;
        let is_open = matches!(answer, Answer::Unknown | Answer::NotDone | Answer::NotNow);
        let client = OPERATOR.to_owned();
        self.shared.borrow_mut().note(Call { client, request, started, ended: time::micros(), answer });
        is_open
    }
}

async fn ask(instance: &mut Connection, request: &Request) -> Answer {
    let Some(channel) = instance.take().await else { return Answer::NotDone };
    let answer = tokio::time::timeout(DEADLINE * 2, send(&channel, request)).await;
    let answer = answer.unwrap_or(Answer::Unknown);
    if answer != Answer::Unknown {
        instance.keep(channel);
    }
    answer
}

async fn send(channel: &Channel, request: &Request) -> Answer {
    let answer = match request {
        Request::ChangeRole { id, role } => {
            let role = if role == "operator" { Role::Operator } else { Role::Customer };
            let message = ChangeRoleRequest { account_id: id.clone(), role: role.into() };
            let mut service = AccountsServiceClient::new(channel.clone());
            service.change_role(within_deadline(message)).await.map(|_| Answer::Done)
        }
        _ => {
            let mut service = KeysServiceClient::new(channel.clone());
            let answer = service.rotate_keys(within_deadline(RotateKeysRequest {})).await;
            answer.map(|answer| made(answer.into_inner()))
        }
    };
    answer.unwrap_or_else(|status| refusal(&status))
}

fn made(RotateKeysResponse { key }: RotateKeysResponse) -> Answer {
    Answer::Keys(key.into_iter().map(|key| key.id).collect())
}

fn refusal(status: &Status) -> Answer {
    match proto::status::class(status) {
        ErrorClass::NotFound => Answer::Refused(Refusal::NotFound),
        ErrorClass::Conflict => Answer::Refused(Refusal::Conflict),
        ErrorClass::Unavailable => Answer::NotNow,
        ErrorClass::TooMany => Answer::NotDone,
        ErrorClass::Unknown => Answer::Unknown,
        class => Answer::Unexpected(format!("{}: {}", class.as_str(), status.message())),
    }
}
