use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use runtime::Clock;
use types::Timestamp;

use super::cache::Cache;
use super::jws::{self, Jws};
use super::{Claims, Issuer, KeySet, TokenError};

/// What decides whether an access token is good. Clones share its keys and what it remembers.
#[derive(Clone, Debug)]
pub struct TokenVerifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    issuer: Issuer,
    clock: Clock,
    trusted: ArcSwap<Trusted>,
}

/// One set of keys, and the tokens that were good under it. They are replaced together: a check that began under
/// older keys can leave its token with those alone.
#[derive(Debug, Default)]
struct Trusted {
    keys: KeySet,
    checked: Arc<Cache>,
}

impl TokenVerifier {
    /// How far the issuer's clock may be ahead of ours. Nothing lengthens a token's life: `exp` has none.
    pub const LEEWAY: Duration = Duration::from_secs(5);

    /// Checks tokens of `issuer`; until it has keys, none is good.
    pub fn new(issuer: Issuer, clock: &Clock) -> Self {
        Self(Arc::new(Shared { issuer, clock: clock.clone(), trusted: ArcSwap::default() }))
    }

    /// Replaces the keys. The tokens of a key that is gone are good no more, also those checked before.
    pub fn set_keys(&self, keys: &KeySet) {
        self.0.trusted.rcu(|old| {
            let checked = if keys.has_all_of(&old.keys) { Arc::clone(&old.checked) } else { Arc::default() };
            Trusted { keys: keys.clone(), checked }
        });
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        !self.0.trusted.load().keys.is_empty()
    }

    /// What `token` says, if it is good now.
    ///
    /// # Errors
    /// [`TokenError`]: why it is not, or that nobody can know yet.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        if token.len() > jws::LONGEST {
            return Err(TokenError::TooLong);
        }
        let now = self.0.clock.now();
        let trusted = self.0.trusted.load();
        if let Some(claims) = trusted.checked.get(token) {
            claims.check_time(now)?;
            return Ok(claims);
        }
        let claims = Arc::new(self.check(token, &trusted.keys)?);
        claims.check_time(now)?;
        trusted.checked.keep(token, &claims, now);
        Ok(claims)
    }

    /// All that does not depend on the time.
    fn check(&self, token: &str, keys: &KeySet) -> Result<Claims, TokenError> {
        let jws = Jws::parse(token)?;
        if keys.is_empty() {
            return Err(TokenError::NoKeys);
        }
        let key = keys.get(&jws.kid).ok_or(TokenError::UnknownKey)?;
        if !key.has_signed(jws.input, &jws.signature) {
            return Err(TokenError::Signature);
        }
        let claims = jws.claims()?;
        self.0.issuer.check(&claims)?;
        Claims::read(&claims)
    }
}

impl Claims {
    fn check_time(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires_at {
            return Err(TokenError::Expired);
        }
        let latest = now.after(TokenVerifier::LEEWAY);
        if self.not_before.max(self.issued_at) > latest { Err(TokenError::NotYet) } else { Ok(()) }
    }
}
