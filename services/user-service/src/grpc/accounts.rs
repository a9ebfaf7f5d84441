//! `flotilla.users.v1.AccountsService`.

use std::mem;
use std::pin::Pin;

use chassis::Health;
use futures_util::Stream;
use proto::flotilla::users::v1 as contract;
use proto::flotilla::users::v1::accounts_service_server::{AccountsService, AccountsServiceServer};
use proto::flotilla::users::v1::get_account_request::By;
use proto::flotilla::users::v1::{
    ChangePasswordRequest, ChangePasswordResponse, ChangeRoleRequest, ChangeRoleResponse, GetAccountRequest,
    GetAccountResponse, SettleChangesRequest, SettleChangesResponse, VerifyCredentialsRequest,
    VerifyCredentialsResponse, WatchChangesRequest, WatchChangesResponse,
};
use tonic::{Request, Response, Status, async_trait};
use types::{FieldError, Role, RoleError, SessionId, UserId};

use super::{changes, deadline_of, parse, wrong};
use crate::account::{Account, Change};
use crate::directory::{Directory, DirectoryError};

pub(super) fn service(directory: Directory, health: Health) -> AccountsServiceServer<impl AccountsService> {
    AccountsServiceServer::new(Accounts { directory, health })
}

struct Accounts {
    directory: Directory,
    health: Health,
}

#[async_trait]
impl AccountsService for Accounts {
    async fn verify_credentials(
        &self,
        request: Request<VerifyCredentialsRequest>,
    ) -> Result<Response<VerifyCredentialsResponse>, Status> {
        let deadline = deadline_of(&request);
        let mut sent = request.into_inner();
        let password = mem::take(&mut sent.password).into();
        let account = self.directory.verify(&sent.email, password, deadline).await?;
        Ok(Response::new(VerifyCredentialsResponse { account: Some(told(&account)) }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let deadline = deadline_of(&request);
        let mut sent = request.into_inner();
        let current = sent.current_password.take().map(Into::into);
        let new = mem::take(&mut sent.new_password).into();
        let (id, kept) = whose_and_kept(&sent)?;
        let account = self.directory.change_password(id, current, new, kept, deadline).await?;
        Ok(Response::new(ChangePasswordResponse { account: Some(told(&account)) }))
    }

    async fn change_role(
        &self,
        request: Request<ChangeRoleRequest>,
    ) -> Result<Response<ChangeRoleResponse>, Status> {
        let deadline = deadline_of(&request);
        let (id, role) = assignment(request.get_ref())?;
        let account = self.directory.change(id, &Change::of_role(role), None, deadline).await?;
        Ok(Response::new(ChangeRoleResponse { account: Some(told(&account)) }))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let deadline = deadline_of(&request);
        let account = match &request.get_ref().by {
            Some(By::Id(id)) => self.directory.get(parse("id", id).map_err(wrong)?, deadline).await?,
            Some(By::Email(email)) => {
                self.directory.get_at(&parse("email", email).map_err(wrong)?, deadline).await?
            }
            None => return Err(wrong(FieldError::of("id", "must be set where email is not")).into()),
        };
        Ok(Response::new(GetAccountResponse { account: Some(told(&account)) }))
    }

    type WatchChangesStream = Pin<Box<dyn Stream<Item = Result<WatchChangesResponse, Status>> + Send>>;

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let told = changes::told(self.directory.changes.watch());
        Ok(Response::new(Box::pin(self.health.until_draining(told))))
    }

    async fn settle_changes(
        &self,
        request: Request<SettleChangesRequest>,
    ) -> Result<Response<SettleChangesResponse>, Status> {
        let deadline = deadline_of(&request);
        let ids = changes::settled(request.get_ref())?;
        self.directory.changes.settle(&ids, deadline).await?;
        Ok(Response::new(SettleChangesResponse {}))
    }
}

fn whose_and_kept(sent: &ChangePasswordRequest) -> Result<(UserId, Option<SessionId>), DirectoryError> {
    let id = parse("account_id", &sent.account_id);
    let kept = sent.kept_session.as_deref().map(|kept| parse("kept_session", kept)).transpose();
    match (id, kept) {
        (Ok(id), Ok(kept)) => Ok((id, kept)),
        (id, kept) => Err(DirectoryError::Invalid(id.err().into_iter().chain(kept.err()).collect())),
    }
}

fn assignment(sent: &ChangeRoleRequest) -> Result<(UserId, Role), DirectoryError> {
    let id = parse("account_id", &sent.account_id);
    let role = match sent.role() {
        contract::Role::Customer => Ok(Role::Customer),
        contract::Role::Operator => Ok(Role::Operator),
        contract::Role::Unspecified => Err(FieldError::of("role", RoleError.to_string())),
    };
    match (id, role) {
        (Ok(id), Ok(role)) => Ok((id, role)),
        (id, role) => Err(DirectoryError::Invalid(id.err().into_iter().chain(role.err()).collect())),
    }
}

fn told(account: &Account) -> contract::Account {
    let role = match account.role {
        Role::Customer => contract::Role::Customer,
        Role::Operator => contract::Role::Operator,
    };
    contract::Account { id: account.id.to_string(), role: role.into(), version: account.version }
}
