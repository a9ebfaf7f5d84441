//! What can be done with accounts. The edge API and the internal one both come here.

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::time::Duration;

use database::{Batch, CommitError, Database, ReadError};
use runtime::{Clock, Deadline, Ids, Random};
use secrecy::SecretString;
use types::{Classify, Email, ErrorClass, FieldError, Id, Role, SessionId, UserId};
use uuid::Uuid;

use crate::account::{Account, Change, NewAccount};
use crate::changes::{AccountChange, ChangeKind, Changes};
use crate::password::{HashError, NewPassword, PasswordHash, Passwords, Verdict};
use crate::store;

/// The longest first pause of a change that somebody was quicker than: a few commits. Each is up to twice the one
/// before, since of many rivals only one gets through at a time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// No pause is longer, so that the last of many rivals does not wait for nobody.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// How long a login waits for its hash to be renewed. It is quick where writing works at all, and somebody who has
/// given the right password does not have to wait where it does not.
const RENEWAL: Duration = Duration::from_millis(250);

/// The accounts of the platform.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) database: Database,
    pub(crate) passwords: Passwords,
    pub(crate) changes: Changes,
    pub(crate) ids: Ids,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// Some accounts, in the order of their making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) accounts: Vec<Account>,
    /// The account to go on after; none on the last page.
    pub(crate) next: Option<UserId>,
}

/// Why something was not done with an account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("the request has wrong fields")]
    Invalid(Vec<FieldError>),
    #[error("there is no such account")]
    NotFound,
    #[error("the e-mail address has an account already")]
    EmailTaken,
    #[error("the account has changed since it was read")]
    Stale,
    #[error("the e-mail address and the password do not belong together")]
    WrongCredentials,
    #[error("the password cannot be checked or kept now")]
    Password(#[from] HashError),
    #[error("the accounts cannot be read")]
    Read(#[from] ReadError),
    #[error("the accounts cannot be written")]
    Commit(#[source] CommitError),
}

impl From<CommitError> for DirectoryError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Constraint(name) if name == store::EMAIL_IS_TAKEN => Self::EmailTaken,
            other => Self::Commit(other),
        }
    }
}

impl Classify for DirectoryError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::NotFound => ErrorClass::NotFound,
            Self::EmailTaken => ErrorClass::Conflict,
            Self::Stale => ErrorClass::Precondition,
            Self::WrongCredentials => ErrorClass::Unauthenticated,
            Self::Password(error) => error.class(),
            Self::Read(error) => error.class(),
            // Every other constraint repeats what the types promise.
            Self::Commit(CommitError::Constraint(_)) => ErrorClass::Internal,
            Self::Commit(error) => error.class(),
        }
    }
}

impl DirectoryError {
    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(fields) => fields,
            _ => &[],
        }
    }
}

impl Directory {
    /// Makes an account. Doing so again after an unknown outcome may come to `EmailTaken`.
    pub(crate) async fn create(
        &self,
        new: NewAccount,
        deadline: Deadline,
    ) -> Result<Account, DirectoryError> {
        let hash = self.passwords.hash(new.password, deadline).await?;
        let account = Account {
            id: self.ids.next(),
            email: new.email,
            name: new.name,
            role: Role::Customer,
            created_at: self.clock.now(),
            version: 1,
        };
        let mut batch = Batch::new();
        store::insert(&mut batch, &account, &hash);
        self.database.commit(batch, deadline).await?;
        Ok(account)
    }

    pub(crate) async fn get(&self, id: UserId, deadline: Deadline) -> Result<Account, DirectoryError> {
        store::find(&self.database, id, deadline).await?.ok_or(DirectoryError::NotFound)
    }

    /// The account that an address belongs to.
    pub(crate) async fn get_at(&self, email: &Email, deadline: Deadline) -> Result<Account, DirectoryError> {
        store::find_at(&self.database, email, deadline).await?.ok_or(DirectoryError::NotFound)
    }

    /// At most `limit` accounts after `after`, or the first ones.
    pub(crate) async fn page(
        &self,
        after: Option<UserId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Page, DirectoryError> {
        // Less than every id there is.
        let after = after.unwrap_or(Id::from_uuid(Uuid::nil()));
        let mut accounts = store::page(&self.database, after, limit + 1, deadline).await?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = accounts.len() > wanted;
        accounts.truncate(wanted);
        let next = if more { accounts.last().map(|account| account.id) } else { None };
        Ok(Page { accounts, next })
    }

    /// Changes an account: as it is, or as it was at one of the versions `seen`.
    pub(crate) async fn change(
        &self,
        id: UserId,
        change: &Change,
        seen: Option<&[i64]>,
        deadline: Deadline,
    ) -> Result<Account, DirectoryError> {
        self.revise(id, seen, deadline, |batch, before| match before.changed(change) {
            Some(after) => {
                store::update(batch, before, &after);
                if after.role != before.role {
                    self.note(batch, &after, ChangeKind::Role, None);
                }
                after
            }
            None => before.clone(),
        })
        .await
    }

    /// Deletes an account: as it is, or as it was at one of the versions `seen`.
    pub(crate) async fn delete(
        &self,
        id: UserId,
        seen: Option<&[i64]>,
        deadline: Deadline,
    ) -> Result<(), DirectoryError> {
        self.revise(id, seen, deadline, |batch, before| {
            store::delete(batch, before);
            let after = Account { version: before.version + 1, ..before.clone() };
            self.note(batch, &after, ChangeKind::Deleted, None);
        })
        .await
    }

    /// The account that an e-mail address and a password belong to.
    pub(crate) async fn verify(
        &self,
        email: &str,
        password: SecretString,
        deadline: Deadline,
    ) -> Result<Account, DirectoryError> {
        // What is no address has no account, and costs as much as one that has none.
        let found = match email.parse::<Email>() {
            Ok(email) => store::credentials_at(&self.database, &email, deadline).await?,
            Err(_) => None,
        };
        let (account, stored) = found.unzip();
        match (account, self.passwords.verify(password, stored, deadline).await?) {
            (Some(account), Verdict::Right) => Ok(account),
            (Some(account), Verdict::RightAndRenewed(hash)) => {
                self.renew(&account, &hash, deadline).await;
                Ok(account)
            }
            _ => Err(DirectoryError::WrongCredentials),
        }
    }

    async fn renew(&self, account: &Account, hash: &PasswordHash, deadline: Deadline) {
        let mut batch = Batch::new();
        store::renew_hash(&mut batch, account, hash);
        if let Err(error) = self.database.commit(batch, deadline.at_most(RENEWAL)).await {
            // The next login tries again.
            tracing::warn!(user = %account.id, %error, "a password hash was not renewed");
        }
    }

    /// Sets a password; where `current` is given it must be the one until now. `kept` is the session that goes on.
    pub(crate) async fn change_password(
        &self,
        id: UserId,
        current: Option<SecretString>,
        new: SecretString,
        kept: Option<SessionId>,
        deadline: Deadline,
    ) -> Result<Account, DirectoryError> {
        let found = store::credentials_of(&self.database, id, deadline).await?;
        let (account, stored) = found.ok_or(DirectoryError::NotFound)?;
        let new = NewPassword::parse(new, Some(&account.email)).map_err(|error| {
            DirectoryError::Invalid(vec![FieldError::of("new_password", error.to_string())])
        })?;
        // A proof holds for the version it was given for; without one the last writer wins.
        let mut seen = None;
        if let Some(current) = current {
            if self.passwords.verify(current, Some(stored), deadline).await? == Verdict::Wrong {
                return Err(DirectoryError::WrongCredentials);
            }
            seen = Some([account.version]);
        }
        let hash = self.passwords.hash(new, deadline).await?;
        self.revise(id, seen.as_ref().map(|version| &version[..]), deadline, |batch, before| {
            store::set_password(batch, before, &hash);
            let after = Account { version: before.version + 1, ..before.clone() };
            self.note(batch, &after, ChangeKind::Password, kept);
            after
        })
        .await
    }

    fn note(&self, batch: &mut Batch, after: &Account, kind: ChangeKind, kept_session: Option<SessionId>) {
        let (id, account, version) = (self.ids.uuid(), after.id, after.version);
        store::note(batch, &AccountChange { id, account, kind, version, kept_session });
    }

    /// Commits what `write` makes of the account, and looks again when somebody was quicker: for as long as there is
    /// time, since whoever states no version has nothing to decide anew.
    async fn revise<T>(
        &self,
        id: UserId,
        seen: Option<&[i64]>,
        deadline: Deadline,
        write: impl Fn(&mut Batch, &Account) -> T,
    ) -> Result<T, DirectoryError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.get(id, deadline).await?;
            if seen.is_some_and(|versions| !versions.contains(&before.version)) {
                return Err(DirectoryError::Stale);
            }
            let mut batch = Batch::new();
            let outcome = write(&mut batch, &before);
            match self.database.commit(batch, deadline).await {
                // The next look tells that it is stale.
                Err(CommitError::Count { .. }) if seen.is_some() => {}
                Err(CommitError::Count { .. }) => self.pause(pause, deadline).await?,
                committed => {
                    self.changes.written();
                    return committed.map(|()| outcome).map_err(DirectoryError::from);
                }
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Lets rivals go first, where there is time for another try after that.
    async fn pause(&self, most: Duration, deadline: Deadline) -> Result<(), DirectoryError> {
        let pause = self.random.jitter(most);
        if pause >= deadline.remaining() {
            return Err(DirectoryError::Commit(CommitError::Busy));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
