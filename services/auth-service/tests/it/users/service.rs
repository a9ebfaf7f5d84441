//! The contract over the book.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use proto::flotilla::users::v1::accounts_service_server::AccountsService;
use proto::flotilla::users::v1::get_account_request::By;
use proto::flotilla::users::v1::{
    ChangePasswordRequest, ChangePasswordResponse, ChangeRoleRequest, ChangeRoleResponse, GetAccountRequest,
    GetAccountResponse, SettleChangesRequest, SettleChangesResponse, VerifyCredentialsRequest,
    VerifyCredentialsResponse, WatchChangesRequest, WatchChangesResponse,
};
use proto::userservice::user_service_server::UserService;
use proto::userservice::{
    CreateUserRequest, DeleteUserRequest, Empty, GetUserRequest, UpdateUserRequest, User,
};
use runtime::Deadline;
use tokio::time::timeout;
use tonic::{Request, Response, Status, async_trait};
use types::{ErrorClass, FieldError};

use super::{Fault, Users};

/// As the contract wants it, a change or a sign of life is told each second.
const SILENCE: Duration = Duration::from_secs(1);

fn refused(class: ErrorClass, message: &str) -> Status {
    proto::status::of(class, message, &[])
}

impl Users {
    fn fault(&self) -> Fault {
        *self.0.fault.borrow()
    }

    fn begin(&self) -> Result<(), Status> {
        let away = self.fault() == Fault::Away;
        if away { Err(refused(ErrorClass::Unavailable, "the accounts cannot be read")) } else { Ok(()) }
    }

    async fn answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        if self.fault() == Fault::Silent {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(answer))
    }
}

#[async_trait]
impl UserService for Users {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        self.begin()?;
        let sent = request.into_inner();
        if sent.password.len() < 8 {
            let wrong = FieldError::of("password", "must be 8 to 128 characters");
            return Err(proto::status::of(ErrorClass::Invalid, "the request has wrong fields", &[wrong]));
        }
        let made = self.book().add(&sent.email, &sent.name, &sent.password);
        let taken = || refused(ErrorClass::Conflict, "the e-mail address has an account already");
        self.answer(made.ok_or_else(taken)?).await
    }

    async fn get_user(&self, _: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_user(&self, _: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn delete_user(&self, _: Request<DeleteUserRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[async_trait]
impl AccountsService for Users {
    async fn verify_credentials(
        &self,
        request: Request<VerifyCredentialsRequest>,
    ) -> Result<Response<VerifyCredentialsResponse>, Status> {
        self.begin()?;
        let sent = request.into_inner();
        let account = self.book().verify(&sent.email, &sent.password);
        let wrong = "the e-mail address and the password do not belong together";
        let account = account.ok_or_else(|| refused(ErrorClass::Unauthenticated, wrong))?;
        if self.fault() == Fault::Slow {
            self.0.held.send_modify(|held| *held += 1);
            self.0.fault.subscribe().wait_for(|fault| *fault != Fault::Slow).await.unwrap();
        }
        self.answer(VerifyCredentialsResponse { account: Some(account) }).await
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        self.begin()?;
        let sent = request.into_inner();
        let id = sent.account_id.parse().unwrap();
        if !self.book().has_password(id, &sent.current_password.unwrap_or_default()) {
            return Err(refused(ErrorClass::Unauthenticated, "the password is another one"));
        }
        if sent.new_password.len() < 8 {
            let wrong = FieldError::of("new_password", "must be 8 to 128 characters");
            return Err(proto::status::of(ErrorClass::Invalid, "the request has wrong fields", &[wrong]));
        }
        let account = {
            let mut book = self.book();
            book.change_password(id, &sent.new_password, sent.kept_session);
            book.get(id)
        };
        self.0.noted.send_replace(());
        self.answer(ChangePasswordResponse { account }).await
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let deadline: &Deadline = request.extensions().get().unwrap();
        self.0.patience.send_replace(deadline.remaining());
        self.begin()?;
        let Some(By::Id(id)) = request.into_inner().by else { return Err(Status::unimplemented("")) };
        let account = self.book().get(id.parse().unwrap());
        let account = account.ok_or_else(|| refused(ErrorClass::NotFound, "there is no such account"))?;
        self.answer(GetAccountResponse { account: Some(account) }).await
    }

    async fn change_role(
        &self,
        _: Request<ChangeRoleRequest>,
    ) -> Result<Response<ChangeRoleResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type WatchChangesStream = Pin<Box<dyn Stream<Item = Result<WatchChangesResponse, Status>> + Send>>;

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        self.begin().inspect_err(|_| self.0.refused.send_modify(|refused| *refused += 1))?;
        let watch = (self.clone(), self.0.noted.subscribe(), BTreeSet::new());
        let told = stream::try_unfold(watch, async |(users, mut noted, mut told)| {
            users.begin()?;
            let (waiting, time) = {
                let book = users.book();
                (book.changes.clone(), book.unsettled)
            };
            let news = waiting.into_values().filter(|change| told.insert((change.id.clone(), time)));
            let changes: Vec<_> = news.collect();
            if changes.is_empty() {
                drop(timeout(SILENCE, noted.changed()).await);
            }
            Ok(Some((WatchChangesResponse { changes }, (users, noted, told))))
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn settle_changes(
        &self,
        request: Request<SettleChangesRequest>,
    ) -> Result<Response<SettleChangesResponse>, Status> {
        self.begin()?;
        self.book().settle(&request.get_ref().ids);
        self.0.noted.send_replace(());
        self.answer(SettleChangesResponse {}).await
    }
}
