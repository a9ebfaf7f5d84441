//! The tokens that were checked lately, so that a token is worth its signature's check once.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use types::Timestamp;

use super::Claims;

/// Tokens whose signatures hold, each with its claims; which ones are still in time, their reader looks.
///
/// Sets of a few, as in a processor's cache: a token belongs to one set, and the longest unused gives way.
pub(super) struct Cache {
    keyed: RandomState,
    sets: Box<[Mutex<Vec<Entry>>]>,
}

struct Entry {
    hash: u64,
    token: Box<str>,
    claims: Arc<Claims>,
}

impl Cache {
    /// With [`Cache::WAYS`] 8,192 tokens, of half a kilobyte each: all users that one instance sees in the lifetime of a
    /// token. Beyond that it costs time and not correctness.
    const SETS: u16 = 1_024;
    const WAYS: usize = 8;

    /// The claims of `token`, if it was kept.
    pub(super) fn get(&self, token: &str) -> Option<Arc<Claims>> {
        let hash = self.hash(token);
        let mut set = self.set(hash).lock().unwrap_or_else(PoisonError::into_inner);
        let at = position(&set, hash, token)?;
        set[..=at].rotate_right(1);
        Some(Arc::clone(&set[0].claims))
    }

    /// Keeps `token`, whose signature has been checked.
    pub(super) fn keep(&self, token: &str, claims: &Arc<Claims>, now: Timestamp) {
        let hash = self.hash(token);
        let mut set = self.set(hash).lock().unwrap_or_else(PoisonError::into_inner);
        set.retain(|entry| now < entry.claims.expires_at);
        if position(&set, hash, token).is_none() {
            set.truncate(Self::WAYS - 1);
            set.insert(0, Entry { hash, token: token.into(), claims: Arc::clone(claims) });
        }
    }

    /// Of the signature alone, which is as good as random: equality is what decides.
    fn hash(&self, token: &str) -> u64 {
        const ENCODED_SIGNATURE: usize = 86;
        let bytes = token.as_bytes();
        self.keyed.hash_one(&bytes[bytes.len().saturating_sub(ENCODED_SIGNATURE)..])
    }

    fn set(&self, hash: u64) -> &Mutex<Vec<Entry>> {
        let at = usize::try_from(hash % u64::from(Self::SETS)).expect("below a u16");
        &self.sets[at]
    }
}

fn position(set: &[Entry], hash: u64, token: &str) -> Option<usize> {
    set.iter().position(|entry| entry.hash == hash && *entry.token == *token)
}

impl Default for Cache {
    fn default() -> Self {
        Self { keyed: RandomState::new(), sets: (0..Self::SETS).map(|_| Mutex::default()).collect() }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use types::{Id, Role};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(5);

    fn claims(id: u128, expires_at: i64) -> Arc<Claims> {
        let (user, session) = (Id::from_uuid(Uuid::from_u128(id)), Id::from_uuid(Uuid::nil()));
        let [issued_at, not_before, expires_at] = [0, 0, expires_at].map(Timestamp::from_micros);
        let (role, id) = (Role::Customer, Uuid::from_u128(id));
        Arc::new(Claims { user, session, role, version: 1, id, issued_at, not_before, expires_at })
    }

    fn kept(cache: &Cache) -> usize {
        cache.sets.iter().map(|set| set.lock().unwrap().len()).sum()
    }

    #[test]
    fn a_token_is_found_by_all_of_its_text() {
        let cache = Cache::default();
        let signature = "s".repeat(86);
        cache.keep(&format!("a.b.{signature}"), &claims(1, 9), NOW);
        assert_eq!(cache.get(&format!("a.b.{signature}")), Some(claims(1, 9)));
        for other in [format!("a.c.{signature}"), format!("aa.b.{signature}"), signature, String::new()] {
            assert_eq!(cache.get(&other), None, "{other}");
        }
    }

    #[test]
    fn however_many_tokens_there_are_it_keeps_a_bounded_number() {
        let cache = Cache::default();
        for id in 0..20_000 {
            cache.keep(&id.to_string(), &claims(id, 9), NOW);
        }
        assert!((8_000..=8_192).contains(&kept(&cache)), "{}", kept(&cache));
        assert_eq!(cache.get("19999"), Some(claims(19_999, 9)));
    }

    #[test]
    fn the_longest_unused_gives_way_after_what_has_expired() {
        let cache = Cache::default();
        let home = cache.hash("0") % 1_024;
        let mut neighbours =
            (0_u128..).map(|id| id.to_string()).filter(|text| cache.hash(text) % 1_024 == home);
        let tokens: Vec<_> = neighbours.by_ref().take(8).collect();
        for token in &tokens {
            cache.keep(token, &claims(0, 9), NOW);
        }
        assert!(cache.get(&tokens[0]).is_some());
        let short = neighbours.next().unwrap();
        cache.keep(&short, &claims(0, 6), NOW);
        assert!(cache.get(&tokens[1]).is_none(), "it was used longest ago");
        cache.keep(&neighbours.next().unwrap(), &claims(0, 9), Timestamp::from_micros(6));
        assert!(cache.get(&short).is_none(), "it had expired");
        assert!(cache.get(&tokens[2]).is_some());
    }
}
