//! What user-service is asked for, which alone knows accounts and passwords.

mod error;
mod read;

use std::time::Duration;

use proto::flotilla::users::v1 as contract;
use proto::flotilla::users::v1::accounts_service_client::AccountsServiceClient;
use proto::flotilla::users::v1::get_account_request::By;
use proto::flotilla::users::v1::{
    ChangePasswordRequest, GetAccountRequest, SettleChangesRequest, VerifyCredentialsRequest,
    WatchChangesRequest, WatchChangesResponse,
};
use proto::userservice::user_service_client::UserServiceClient;
use proto::userservice::{CreateUserRequest, User};
use runtime::Deadline;
use secrecy::{ExposeSecret as _, SecretString};
use service_client::{Channel, Outbound, request, streaming};
use tonic::Streaming;
use types::{Role, ServiceName, SessionId, UserId};
use uuid::Uuid;

pub(crate) use self::error::AccountsError;
pub(crate) use self::read::{AccountChange, ChangeKind};
use crate::asking::Asking;

const USER_SERVICE: ServiceName = ServiceName::new("user-service");

/// As much of an account as a token tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Whose.
    pub(crate) id: UserId,
    /// What it may do.
    pub(crate) role: Role,
    /// One more with each change.
    pub(crate) version: i64,
}

/// The accounts of the platform, over there.
#[derive(Clone)]
pub(crate) struct Accounts {
    accounts: AccountsServiceClient<Channel>,
    users: UserServiceClient<Channel>,
}

impl Accounts {
    /// How long a stream of changes may take to begin.
    const BEGINNING: Duration = Duration::from_secs(5);

    pub(crate) fn new(outbound: &Outbound) -> Self {
        let channel = outbound.grpc(&USER_SERVICE);
        Self { accounts: AccountsServiceClient::new(channel.clone()), users: UserServiceClient::new(channel) }
    }

    /// Makes an account.
    pub(crate) async fn create(
        &self,
        email: String,
        name: String,
        password: &SecretString,
        asking: &Asking,
    ) -> Result<User, AccountsError> {
        let password = password.expose_secret().to_owned();
        let new =
            request(CreateUserRequest { email, name, password }, asking.deadline, asking.trace.as_ref());
        let made = self.users.clone().create_user(new).await.map_err(AccountsError::writing)?;
        Ok(made.into_inner())
    }

    /// The account that an address and a password belong to.
    pub(crate) async fn verify(
        &self,
        email: String,
        password: &SecretString,
        asking: &Asking,
    ) -> Result<Account, AccountsError> {
        let password = password.expose_secret().to_owned();
        let claimed = VerifyCredentialsRequest { email, password };
        let claimed = request(claimed, asking.for_reading(), asking.trace.as_ref());
        let verified = self.accounts.clone().verify_credentials(claimed).await;
        let verified = verified.map_err(AccountsError::reading)?;
        read::account(verified.into_inner().account)
    }

    /// The account as it is now; none where it is gone.
    pub(crate) async fn find(&self, id: UserId, asking: &Asking) -> Result<Option<Account>, AccountsError> {
        let wanted = GetAccountRequest { by: Some(By::Id(id.to_string())) };
        let wanted = request(wanted, asking.for_reading(), asking.trace.as_ref());
        match self.accounts.clone().get_account(wanted).await.map_err(AccountsError::reading) {
            Ok(found) => read::account(found.into_inner().account).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives an account another password, after which `kept` is the session that goes on.
    pub(crate) async fn change_password(
        &self,
        id: UserId,
        current: &SecretString,
        new: &SecretString,
        kept: SessionId,
        asking: &Asking,
    ) -> Result<Account, AccountsError> {
        let change = ChangePasswordRequest {
            account_id: id.to_string(),
            current_password: Some(current.expose_secret().to_owned()),
            new_password: new.expose_secret().to_owned(),
            kept_session: Some(kept.to_string()),
        };
        let change = request(change, asking.deadline, asking.trace.as_ref());
        let changed = self.accounts.clone().change_password(change).await.map_err(AccountsError::writing)?;
        read::account(changed.into_inner().account)
    }

    /// The changes that are not settled, and those to come.
    pub(crate) async fn watch_changes(&self) -> Result<Changes, AccountsError> {
        let watch = streaming(WatchChangesRequest {}, Deadline::within(Self::BEGINNING), None);
        let stream = self.accounts.clone().watch_changes(watch).await.map_err(AccountsError::reading)?;
        Ok(Changes(stream.into_inner()))
    }

    /// Lets user-service forget changes.
    pub(crate) async fn settle(&self, ids: &[Uuid], deadline: Deadline) -> Result<(), AccountsError> {
        let ids = ids.iter().map(Uuid::to_string).collect();
        let settle = request(SettleChangesRequest { ids }, deadline, None);
        self.accounts.clone().settle_changes(settle).await.map_err(AccountsError::writing)?;
        Ok(())
    }
}

/// What happens to accounts, as it happens.
pub(crate) struct Changes(Streaming<WatchChangesResponse>);

impl Changes {
    /// Some changes, or none while nothing happens; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<AccountChange>>, AccountsError> {
        let told = self.0.message().await.map_err(AccountsError::reading)?;
        Ok(told.map(|told| told.changes.iter().filter_map(understood).collect()))
    }
}

/// One that cannot be read stays unsettled, and must not hold up the others.
fn understood(change: &contract::Change) -> Option<AccountChange> {
    let read = read::change(change);
    if let Err(error) = &read {
        tracing::error!(id = change.id, %error, "a change of an account is not understood, and has no consequences");
    }
    read.ok()
}
