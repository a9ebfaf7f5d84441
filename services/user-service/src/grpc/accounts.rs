//! `flotilla.users.v1.AccountsService`.

use std::mem;

use proto::flotilla::users::v1 as contract;
use proto::flotilla::users::v1::accounts_service_server::{AccountsService, AccountsServiceServer};
use proto::flotilla::users::v1::{
    ChangePasswordRequest, ChangePasswordResponse, ChangeRoleRequest, ChangeRoleResponse,
    VerifyCredentialsRequest, VerifyCredentialsResponse,
};
use tonic::{Request, Response, Status, async_trait};
use types::{FieldError, Role, RoleError, UserId};

use super::{deadline_of, parse, wrong};
use crate::account::{Account, Change};
use crate::directory::{Directory, DirectoryError};

pub(super) fn service(directory: Directory) -> AccountsServiceServer<impl AccountsService> {
    AccountsServiceServer::new(Accounts(directory))
}

struct Accounts(Directory);

#[async_trait]
impl AccountsService for Accounts {
    async fn verify_credentials(
        &self,
        request: Request<VerifyCredentialsRequest>,
    ) -> Result<Response<VerifyCredentialsResponse>, Status> {
        let deadline = deadline_of(&request);
        let mut sent = request.into_inner();
        let password = mem::take(&mut sent.password).into();
        let account = self.0.verify(&sent.email, password, deadline).await?;
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
        let id = parse("account_id", &sent.account_id).map_err(wrong)?;
        let account = self.0.change_password(id, current, new, deadline).await?;
        Ok(Response::new(ChangePasswordResponse { account: Some(told(&account)) }))
    }

    async fn change_role(
        &self,
        request: Request<ChangeRoleRequest>,
    ) -> Result<Response<ChangeRoleResponse>, Status> {
        let deadline = deadline_of(&request);
        let (id, role) = assignment(request.get_ref())?;
        let account = self.0.change(id, &Change::of_role(role), None, deadline).await?;
        Ok(Response::new(ChangeRoleResponse { account: Some(told(&account)) }))
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
