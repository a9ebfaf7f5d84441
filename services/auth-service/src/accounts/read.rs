//! What user-service's messages say.

use proto::flotilla::users::v1 as contract;
use types::{Role, SessionId, UserId};
use uuid::Uuid;

use super::{Account, AccountsError};

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountChange {
    /// Settles it.
    pub(crate) id: Uuid,
    /// Whose account.
    pub(crate) account: UserId,
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// The account's version since then.
    pub(crate) version: i64,
}

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It has another password; the one session goes on, if any.
    Password(Option<SessionId>),
    /// It has another role.
    Role,
    /// It is gone.
    Deleted,
}

pub(super) fn account(sent: Option<contract::Account>) -> Result<Account, AccountsError> {
    let sent = sent.ok_or(AccountsError::Answer("an account"))?;
    let role = match sent.role() {
        contract::Role::Customer => Role::Customer,
        contract::Role::Operator => Role::Operator,
        contract::Role::Unspecified => return Err(AccountsError::Answer("a role")),
    };
    let id = sent.id.parse().or(Err(AccountsError::Answer("an account's id")))?;
    Ok(Account { id, role, version: sent.version })
}

pub(super) fn change(sent: &contract::Change) -> Result<AccountChange, AccountsError> {
    let kept = sent.kept_session.as_deref().map(str::parse).transpose();
    let kept = kept.or(Err(AccountsError::Answer("the id of a kept session")))?;
    let kind = match sent.kind() {
        contract::ChangeKind::Password => ChangeKind::Password(kept),
        contract::ChangeKind::Role => ChangeKind::Role,
        contract::ChangeKind::Deleted => ChangeKind::Deleted,
        contract::ChangeKind::Unspecified => return Err(AccountsError::Answer("a kind of change")),
    };
    Ok(AccountChange {
        id: sent.id.parse().or(Err(AccountsError::Answer("a change's id")))?,
        account: sent.account_id.parse().or(Err(AccountsError::Answer("a change's account")))?,
        kind,
        version: sent.version,
    })
}
