//! An issuer that also signs what it should not.

use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service_auth::{Claims, Issuer, KeySet, SigningKey, TokenError, TokenVerifier};
use types::{Id, Role, Timestamp};
use uuid::Uuid;

use crate::authority::{Hands, NOW};

const SEED: [u8; SigningKey::SEED] = [7; SigningKey::SEED];

/// What [`Forger::claims`] says, in the order of its members, `exp` ten minutes from the start of the clock.
pub(crate) const CLAIMS: &str = concat!(
    r#"{"iss":"https://flotilla.internal","sub":"0190b3c8-7c5e-7000-8000-000000000001","aud":"flotilla","#,
    r#""exp":1785000600,"nbf":1785000000,"iat":1785000000,"jti":"0190b3c8-7c5e-7000-8000-000000000002","#,
    r#""sid":"0190b3c8-7c5e-7000-8000-000000000003","role":"customer","ver":4}"#,
);

/// A verifier with one key, whose private half is at hand.
pub(crate) struct Forger {
    pub(crate) hands: Hands,
    pub(crate) key: SigningKey,
    pub(crate) verifier: TokenVerifier,
    pair: Ed25519KeyPair,
}

impl Forger {
    pub(crate) fn new() -> Self {
        let (hands, key) = (Hands::default(), SigningKey::from_seed(&SEED));
        let verifier = TokenVerifier::new(Issuer::default(), &hands.clock());
        verifier.set_keys(&KeySet::new([key.public()]));
        let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
        Self { hands, key, verifier, pair }
    }

    /// The claims of the token that [`Forger::token`] makes.
    pub(crate) fn claims() -> Claims {
        let id = |last: u128| Uuid::from_u128(0x0190_b3c8_7c5e_7000_8000_0000_0000_0000 + last);
        let start = Timestamp::from_micros(NOW * 1_000_000);
        Claims {
            user: Id::from_uuid(id(1)),
            session: Id::from_uuid(id(3)),
            role: Role::Customer,
            version: 4,
            id: id(2),
            issued_at: start,
            not_before: start,
            expires_at: start.after(Duration::from_secs(600)),
        }
    }

    /// The header as it must be.
    pub(crate) fn header(&self) -> String {
        format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, self.key.kid())
    }

    /// A good token.
    pub(crate) fn token(&self) -> String {
        self.key.sign(&Issuer::default(), &Self::claims())
    }

    /// Signs these two parts, whatever they are.
    pub(crate) fn forge(&self, header: &str, claims: &str) -> String {
        self.signed(&format!("{}.{}", encoded(header), encoded(claims)))
    }

    /// Signs what would be a token without its last part.
    pub(crate) fn signed(&self, input: &str) -> String {
        format!("{input}.{}", encoded(self.pair.sign(input.as_bytes())))
    }

    /// What is wrong with a token of these parts.
    pub(crate) fn refused(&self, header: &str, claims: &str) -> Option<TokenError> {
        self.verifier.verify(&self.forge(header, claims)).err()
    }
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
