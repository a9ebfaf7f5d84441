//! Where people log in and out: what the edge API does.

mod error;
mod refreshing;

use std::sync::Arc;
use std::time::Duration;

use chassis::Platform;
use database::{Batch, CommitError, Database};
use proto::userservice::User;
use runtime::{Clock, Deadline, Env, Ids, Random};
use secrecy::SecretString;
use service_auth::{Claims, Issuer};
use types::{Network, SessionId, Timestamp, UserId};

pub(crate) use self::error::DeskError;
use crate::Config;
use crate::accounts::{Account, Accounts};
use crate::asking::Asking;
use crate::feed::Feed;
use crate::keys::Keyring;
use crate::limits::Limits;
use crate::refresh_token::{RefreshToken, TokenHash};
use crate::session::{ACCESS_LIFETIME, Lifetimes, LoginName, Origin, Session};
use crate::store::{self, Ending};
use crate::tally::Tally;

/// Logs people in and out. Clones are the same.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) database: Database,
    pub(crate) accounts: Accounts,
    pub(crate) keys: Keyring,
    pub(crate) feed: Feed,
    pub(crate) limits: Arc<Limits>,
    pub(crate) issuer: Issuer,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) tally: Tally,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) random: Random,
}

/// An access token and how long it is good.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) token: SecretString,
    pub(crate) lifetime: Duration,
}

/// What somebody gets who has logged in.
#[derive(Debug)]
pub(crate) struct Grant {
    /// What opens the platform.
    pub(crate) access: Access,
    /// What brings the next one.
    pub(crate) refresh: RefreshToken,
}

/// Who asks, of those that are logged in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

impl Desk {
    pub(crate) fn new(
        config: &Config,
        platform: &Platform,
        database: &Database,
        keys: &Keyring,
        feed: &Feed,
    ) -> Self {
        let Env { clock, ids, random, .. } = platform.env.clone();
        Self {
            database: database.clone(),
            accounts: Accounts::new(&platform.outbound()),
            keys: keys.clone(),
            feed: feed.clone(),
            limits: Arc::new(Limits::new(config.failures, &random)),
            issuer: platform.issuer.clone(),
            lifetimes: config.lifetimes,
            tally: Tally::new(&platform.metrics),
            clock,
            ids,
            random,
        }
    }

    /// Makes an account.
    pub(crate) async fn register(
        &self,
        email: String,
        name: String,
        password: &SecretString,
        asking: &Asking,
    ) -> Result<User, DeskError> {
        Ok(self.accounts.create(email, name, password, asking).await?)
    }

    /// Begins a session for whoever proves a password.
    pub(crate) async fn log_in(
        &self,
        email: String,
        password: &SecretString,
        origin: Origin,
        asking: &Asking,
    ) -> Result<Grant, DeskError> {
        let outcome = self.try_log_in(email, password, origin, asking).await;
        self.tally.logged_in(&outcome);
        outcome
    }

    async fn try_log_in(
        &self,
        email: String,
        password: &SecretString,
        origin: Origin,
        asking: &Asking,
    ) -> Result<Grant, DeskError> {
        let (name, network) = (LoginName::new(&email), origin.network());
        let is_known = async || Ok(store::is_known(&self.database, &name, network, asking.deadline).await?);
        let attempt = self.limits.admit::<DeskError>(name, network, is_known, asking.for_reading()).await?;
        match self.accounts.verify(email, password, asking).await {
            Ok(account) => {
                attempt.forgiven();
                self.begin(account, &name, origin, asking).await
            }
            // A wrong guess stays charged.
            Err(error) if error.is_unproven() => Err(DeskError::WrongCredentials),
            // What was not checked tells nobody anything.
            Err(error) => {
                attempt.forgiven();
                Err(error.into())
            }
        }
    }

    async fn begin(
        &self,
        account: Account,
        name: &LoginName,
        origin: Origin,
        asking: &Asking,
    ) -> Result<Grant, DeskError> {
        let (now, refresh) = (self.clock.now(), RefreshToken::generate(&self.random));
        let session = Session {
            id: self.ids.next(),
            user: account.id,
            version: account.version,
            created_at: now,
            used_at: now,
            expires_at: self.lifetimes.expiry(now, now),
            origin,
        };
        let access = self.access_token(account, session.id, now, session.expires_at);
        let mut batch = Batch::new();
        store::begin(&mut batch, &session, name, &refresh.hash());
        match self.database.commit(batch, asking.deadline).await {
            // What was proven may be true no more: the password has changed meanwhile, or the account is gone.
            Err(CommitError::Count { .. }) => Err(self.crowded(account.id, asking).await?),
            outcome => {
                outcome?;
                Ok(Grant { access, refresh })
            }
        }
    }

    /// Why nothing begins or goes on for `user`: others come first, or the account is older than what is known of it.
    async fn crowded(&self, user: UserId, asking: &Asking) -> Result<DeskError, DeskError> {
        let least_version = store::least_version(&self.database, user, asking.deadline).await?;
        // Read after that, so that it is not older because of a change in between.
        let account = self.accounts.find(user, asking).await?;
        Ok(match (account, least_version) {
            (Some(Account { version, .. }), Some(least_version)) if version < least_version => {
                DeskError::PutBack { user, version, least_version }
            }
            _ => DeskError::Crowded,
        })
    }

    /// The access token of a session that ends at `until` unless it is used again. It is made before what it belongs to
    /// is written: where the session is ended later, no token is younger than that.
    fn access_token(&self, account: Account, session: SessionId, now: Timestamp, until: Timestamp) -> Access {
        let expires_at = until.min(now.after(ACCESS_LIFETIME));
        let claims = Claims {
            user: account.id,
            session,
            role: account.role,
            version: account.version,
            id: self.ids.uuid(),
            issued_at: now,
            not_before: now,
            expires_at,
        };
        Access { token: self.keys.sign(&self.issuer, &claims).into(), lifetime: expires_at.since(now) }
    }

    /// Ends the session of a refresh token, whether that is still good or not. Without one there is nothing to end.
    pub(crate) async fn log_out(&self, token: &SecretString, asking: &Asking) -> Result<(), DeskError> {
        let Some(token) = TokenHash::of(token) else { return Ok(()) };
        if let Some(presented) = store::presented(&self.database, token, asking.deadline).await? {
            self.end(presented.user, presented.session, asking.deadline).await?;
        }
        Ok(())
    }

    async fn end(&self, user: UserId, session: SessionId, deadline: Deadline) -> Result<(), DeskError> {
        let mut batch = Batch::new();
        store::end_session(&mut batch, user, session, Ending::at(self.clock.now()));
        self.database.commit(batch, deadline).await?;
        self.feed.written();
        Ok(())
    }

    /// The sessions of `owner`, the newest first.
    pub(crate) async fn sessions(&self, owner: Owner, asking: &Asking) -> Result<Vec<Session>, DeskError> {
        let now = self.clock.now();
        let sessions = store::live(&self.database, owner.user, now, asking.deadline).await?;
        let own = sessions.iter().any(|session| session.id == owner.session);
        if own { Ok(sessions) } else { Err(DeskError::Ended) }
    }

    /// Ends one of the sessions of `owner`.
    pub(crate) async fn end_own(
        &self,
        owner: Owner,
        session: SessionId,
        asking: &Asking,
    ) -> Result<(), DeskError> {
        self.must_go_on(owner, asking.deadline).await?;
        let mut batch = Batch::new();
        store::end_own(&mut batch, owner.user, session, Ending::at(self.clock.now()));
        match self.database.commit(batch, asking.deadline).await {
            Err(CommitError::Count { .. }) => Err(DeskError::NoSuchSession),
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.feed.written();
                Ok(())
            }
        }
    }

    /// Gives `owner` another password and ends all other sessions.
    pub(crate) async fn change_password(
        &self,
        owner: Owner,
        network: Network,
        current: &SecretString,
        new: &SecretString,
        asking: &Asking,
    ) -> Result<(), DeskError> {
        self.must_go_on(owner, asking.deadline).await?;
        let attempt = self.limits.admit_user(owner.user, network, asking.for_reading()).await?;
        let Owner { user, session } = owner;
        match self.accounts.change_password(user, current, new, session, asking).await {
            Ok(account) => {
                attempt.forgiven();
                self.end_others(owner, account.version, asking.deadline).await
            }
            Err(error) if error.is_unproven() => Err(DeskError::WrongPassword),
            Err(error) => {
                attempt.forgiven();
                Err(error.into())
            }
        }
    }

    /// What would follow from the change of the password anyway, in time for the answer.
    async fn end_others(&self, owner: Owner, version: i64, deadline: Deadline) -> Result<(), DeskError> {
        let mut batch = Batch::new();
        store::raise(&mut batch, owner.user, version);
        let ending = Ending::at(self.clock.now());
        store::end_older(&mut batch, owner.user, version, Some(owner.session), ending);
        self.database.commit(batch, deadline).await.map_err(DeskError::Unfinished)?;
        self.feed.written();
        Ok(())
    }

    /// An access token outlives its session by minutes. Here it does not.
    async fn must_go_on(&self, owner: Owner, deadline: Deadline) -> Result<(), DeskError> {
        let is_live = store::is_live(&self.database, owner.session, self.clock.now(), deadline).await?;
        if is_live { Ok(()) } else { Err(DeskError::Ended) }
    }
}
