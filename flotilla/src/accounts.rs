//! The accounts of user-service, as an operator makes and promotes them.

use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::flotilla::users::v1::get_account_request::By;
use proto::flotilla::users::v1::{
    Account, ChangeRoleRequest, GetAccountRequest, Role, VerifyCredentialsRequest,
};
use proto::userservice::CreateUserRequest;
use proto::userservice::user_service_client::UserServiceClient;
use secrecy::{ExposeSecret as _, SecretString};
use service_client::Channel;
use types::{Classify as _, Email, ErrorClass};

use crate::operator::request;
use crate::refusal::Refusal;

/// A client of user-service.
pub(crate) struct Accounts {
    users: UserServiceClient<Channel>,
    accounts: AccountsServiceClient<Channel>,
}

impl Accounts {
    pub(crate) fn over(channel: &Channel) -> Self {
        let (users, accounts) = (channel.clone(), channel.clone());
        Self { users: UserServiceClient::new(users), accounts: AccountsServiceClient::new(accounts) }
    }

    /// The account of this e-mail address, if there is one.
    pub(crate) async fn find(&mut self, email: &Email) -> Result<Option<Account>, Refusal> {
        let by = Some(By::Email(email.to_string()));
        match self.accounts.get_account(request(GetAccountRequest { by })).await.map_err(Refusal::from) {
            Ok(found) => Ok(found.into_inner().account),
            Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an account, of a customer, and tells its id.
    pub(crate) async fn create(
        &mut self,
        email: &Email,
        name: &str,
        password: &SecretString,
    ) -> Result<String, Refusal> {
        let new = CreateUserRequest {
            email: email.to_string(),
            name: name.to_owned(),
            password: password.expose_secret().to_owned(),
        };
        Ok(self.users.create_user(request(new)).await?.into_inner().id)
    }

    /// The id of the account whose e-mail address and password these are, if they are any's.
    pub(crate) async fn verify(
        &mut self,
        email: &Email,
        password: &SecretString,
    ) -> Result<Option<String>, Refusal> {
        let (email, password) = (email.to_string(), password.expose_secret().to_owned());
        let verified =
            self.accounts.verify_credentials(request(VerifyCredentialsRequest { email, password }));
        match verified.await.map_err(Refusal::from) {
            Ok(verified) => Ok(verified.into_inner().account.map(|account| account.id)),
            Err(error) if error.class() == ErrorClass::Unauthenticated => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an operator of the account with this id. Doing it twice leaves what doing it once leaves.
    pub(crate) async fn promote(&mut self, account_id: String) -> Result<(), Refusal> {
        let change = ChangeRoleRequest { account_id, role: Role::Operator.into() };
        self.accounts.change_role(request(change)).await?;
        Ok(())
    }
}
