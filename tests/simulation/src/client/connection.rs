use futures_util::future::join_all;
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest, User};
use tonic::transport::Channel;
use tonic::{Response, Status};
use types::ErrorClass;

use crate::history::{Account, Micros, Operation, Outcome};
use crate::rpc::{self, DEADLINE, within_deadline};
use crate::time;

/// The service's rules for passwords are met; what it costs to hash is configured away.
const PASSWORD: &str = "correct horse battery staple";

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

/// Sends all requests at once, and tells what is known about each in the end.
pub(super) async fn ask(instance: &mut rpc::Connection, operations: &[Operation]) -> Vec<Answer> {
    let Some(channel) = instance.take().await else {
        // Nothing was sent.
        return operations.iter().map(|_| Answer::now(Outcome::NotDone)).collect();
    };
    let answers = join_all(operations.iter().map(|operation| send_in_time(&channel, operation))).await;
    if answers.iter().all(|answer| answer.outcome != Outcome::Unknown) {
        instance.keep(channel);
    }
    answers
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
        // The guide's service has no method for it.
        Operation::SetPassword { .. } | Operation::SetRole { .. } => return Outcome::NotDone,
    };
    answer.unwrap_or_else(|status| refusal(&status))
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
