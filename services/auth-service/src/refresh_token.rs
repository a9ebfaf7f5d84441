//! Refresh tokens: 256 random bits in the hands of a client, and only their hash in ours.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::Random;
use secrecy::{ExposeSecret as _, SecretString};

/// A new refresh token, on its way to a client.
#[derive(Debug)]
pub(crate) struct RefreshToken(SecretString);

impl RefreshToken {
    const BYTES: usize = 32;
    /// Of its text: base64url without padding.
    const CHARACTERS: usize = 43;

    /// One that nobody has seen.
    pub(crate) fn generate(random: &Random) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random.bytes::<{ Self::BYTES }>()).into())
    }

    /// Its text, for the answer to the client.
    pub(crate) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// By what it is known.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of_text(self.reveal())
    }
}

/// By what a refresh token is known. It needs no salt: of 256 random bits nobody makes a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a text that somebody presents; none where it has not the length of a token.
    pub(crate) fn of(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret();
        (text.len() == RefreshToken::CHARACTERS).then(|| Self::of_text(text))
    }

    fn of_text(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// One that was kept.
    pub(crate) fn kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For storage.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_43_characters_that_no_other_has_and_is_known_by_their_hash() {
        let random = Random::seeded(1);
        let (one, other) = (RefreshToken::generate(&random), RefreshToken::generate(&random));
        assert_eq!(one.reveal().len(), RefreshToken::CHARACTERS);
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(TokenHash::of(&one.reveal().into()), Some(one.hash()));
        assert_ne!(one.hash(), other.hash());
        assert_eq!(TokenHash::kept(one.hash().as_bytes()), Some(one.hash()));
    }

    #[test]
    fn what_is_no_token_has_no_hash() {
        for text in ["", "a", &"a".repeat(42), &"a".repeat(44), &"a".repeat(1 << 20)] {
            assert_eq!(TokenHash::of(&(*text).into()), None);
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = RefreshToken::generate(&Random::seeded(1));
        let printed = format!("{token:?} {:?}", token.hash());
        assert!(!printed.contains(token.reveal()), "{printed}");
    }
}
