//! Refreshing: another access token for a refresh token.

use database::{Batch, CommitError};
use secrecy::SecretString;

use super::{Desk, DeskError, Grant};
use crate::accounts::Account;
use crate::asking::Asking;
use crate::refresh::{PATIENCE, Presented, Ruling, rule};
use crate::refresh_token::{RefreshToken, TokenHash};
use crate::store::{self, Renewed};

/// A token is good twice at the most, and an account does not change so often.
const MOST_TRIES: usize = 5;

impl Desk {
    /// Renews a session for whoever presents its refresh token. The account is read again, so that the new access token
    /// says what is true now.
    pub(crate) async fn refresh(&self, token: &SecretString, asking: &Asking) -> Result<Grant, DeskError> {
        let outcome = self.try_refresh(token, &asking.within(PATIENCE)).await;
        self.tally.refreshed(&outcome);
        outcome
    }

    async fn try_refresh(&self, token: &SecretString, asking: &Asking) -> Result<Grant, DeskError> {
        let token = TokenHash::of(token).ok_or(DeskError::BadToken)?;
        let mut tries = 1;
        loop {
            let presented = store::presented(&self.database, token, asking.deadline).await?;
            let presented = presented.ok_or(DeskError::BadToken)?;
            match self.renew(&presented, asking).await {
                // Somebody was quicker: with the token, with the end of its session, or with a change of the account.
                Err(DeskError::Commit(CommitError::Count { .. })) if tries < MOST_TRIES => tries += 1,
                Err(DeskError::Commit(CommitError::Count { .. })) => {
                    return Err(self.crowded(presented.user, asking).await?);
                }
                outcome => return outcome,
            }
        }
    }

    async fn renew(&self, presented: &Presented, asking: &Asking) -> Result<Grant, DeskError> {
        let (user, session) = (presented.user, presented.session);
        let void = match rule(presented, self.clock.now()) {
            Ruling::Rotate => None,
            Ruling::RotateAgain(void) => Some(void),
            Ruling::Over => return Err(DeskError::BadToken),
            Ruling::Reused => {
                self.end(user, session, asking.deadline).await?;
                self.tally.reused();
                tracing::warn!(%user, %session, "a refresh token was used by two; its session is ended");
                return Err(DeskError::BadToken);
            }
        };
        let Some(account) = self.accounts.find(user, asking).await? else {
            self.end(user, session, asking.deadline).await?;
            return Err(DeskError::BadToken);
        };
        self.rotate(presented, void, account, asking).await
    }

    /// Puts a new token in the place of the presented one, or in that of `void`, which had it.
    async fn rotate(
        &self,
        presented: &Presented,
        void: Option<TokenHash>,
        account: Account,
        asking: &Asking,
    ) -> Result<Grant, DeskError> {
        let (now, refresh) = (self.clock.now(), RefreshToken::generate(&self.random));
        let expires_at = self.lifetimes.expiry(presented.created_at, now);
        let access = self.access_token(account, presented.session, now, expires_at);
        let renewed = Renewed { version: account.version, token: refresh.hash(), now, expires_at };
        let mut batch = Batch::new();
        match void {
            None => store::rotate(&mut batch, presented, &renewed),
            Some(void) => store::rotate_again(&mut batch, presented, &void, &renewed),
        }
        self.database.commit(batch, asking.deadline).await?;
        Ok(Grant { access, refresh })
    }
}
