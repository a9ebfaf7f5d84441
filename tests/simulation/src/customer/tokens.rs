use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::history::Grant;

/// The texts of all tokens that were received. The history names them by number.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    texts: BTreeMap<u32, Texts>,
    numbers: BTreeMap<String, u32>,
}

/// What an answer with tokens holds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Texts {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    token_type: String,
    expires_in: u64,
}

/// What everybody may read in an access token (RFC 9068, section 2.2).
#[derive(Deserialize)]
struct Claims {
    sub: String,
    sid: String,
    role: String,
}

#[derive(Deserialize)]
struct Header {
    kid: String,
}

impl Tokens {
    /// The texts that a grant stands for.
    pub(super) fn of(&self, grant: &Grant) -> &Texts {
        &self.texts[&grant.number]
    }

    /// Numbers new tokens. Those that were given before get the number they have.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn receive(&mut self, texts: Texts) -> Result<Grant, &'static str> {
        /// The stated lifetime of an access token, in seconds.
        const LIFETIME: u64 = 600;
        if texts.token_type != "Bearer" || texts.expires_in != LIFETIME {
            return Err("another kind of token");
        }
        let mut parts = texts.access_token.split('.');
        let (header, claims) = (parts.next().and_then(read), parts.next().and_then(read));
        let (Some(Header { kid }), Some(Claims { sub, sid, role })) = (header, claims) else {
            return Err("an access token that cannot be read");
        };
        let next = u32::try_from(self.numbers.len() + 1).expect("a run has some thousand calls");
        let number = *self.numbers.entry(texts.refresh_token.clone()).or_insert(next);
        self.texts.entry(number).or_insert(texts);
        Ok(Grant { number, user: sub, session: sid, role, key: kid })
    }
}

fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}
