//! Signing keys as they are stored: unreadable without the key from the configuration.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use runtime::Random;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use service_auth::SigningKey;

/// What signing keys are sealed with (AES-256-GCM). Clones share it.
#[derive(Clone)]
pub struct SealingKey(Arc<LessSafeKey>);

/// The stored key was not sealed with this key, or is not the one that it is said to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "signing key {kid} cannot be opened: it was sealed with another SIGNING_KEY_SECRET, or was tampered with"
)]
pub(crate) struct Unsealable {
    /// What tokens name it by.
    pub(crate) kid: String,
}

impl SealingKey {
    /// What it is made of.
    pub const LENGTH: usize = 32;
    /// What its text must be.
    pub const RIGHT: &str =
        "32 random bytes in base64 or hexadecimal, such as `openssl rand -base64 32` writes";

    /// From its bytes.
    pub fn new(bytes: &[u8; Self::LENGTH]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        Self(Arc::new(LessSafeKey::new(key)))
    }

    /// From its text: [`SealingKey::RIGHT`].
    pub fn parse(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret().trim();
        let unpadded = text.trim_end_matches('=');
        let bytes = hexadecimal(text)
            .or_else(|| STANDARD_NO_PAD.decode(unpadded).ok())
            .or_else(|| URL_SAFE_NO_PAD.decode(unpadded).ok())?;
        Some(Self::new(bytes.as_slice().try_into().ok()?))
    }

    /// Seals a seed as that of the key `kid`.
    pub(crate) fn seal(&self, kid: &str, seed: &[u8; SigningKey::SEED], random: &Random) -> Vec<u8> {
        // One of 96 random bits comes a second time after more rotations than there will be.
        let nonce = random.bytes::<NONCE_LEN>();
        let mut sealed = seed.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(kid), &mut sealed)
            .expect("a seed is not too long to be sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The key `kid` from its sealed seed.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub(crate) fn open(&self, kid: &str, sealed: &[u8]) -> Result<SigningKey, Unsealable> {
        let key = self.seed(kid, sealed).map(|seed| SigningKey::from_seed(&seed));
        key.filter(|key| key.kid() == kid).ok_or_else(|| Unsealable { kid: kid.to_owned() })
    }

    fn seed(&self, kid: &str, sealed: &[u8]) -> Option<Zeroizing<[u8; SigningKey::SEED]>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let seed = self.0.open_in_place(nonce, Aad::from(kid), &mut opened).ok()?;
        (*seed).try_into().ok().map(Zeroizing::new)
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * SealingKey::LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn sealed(sealing: &SealingKey) -> (String, Vec<u8>) {
        let kid = SigningKey::from_seed(&SEED).kid().to_owned();
        let sealed = sealing.seal(&kid, &SEED, &Random::seeded(1));
        (kid, sealed)
    }

    #[test]
    fn a_key_comes_back_under_the_key_that_sealed_it_and_no_other() {
        let sealing = SealingKey::new(&[1; 32]);
        let (kid, sealed) = sealed(&sealing);
        assert_eq!(sealing.open(&kid, &sealed).unwrap().kid(), kid);
        let other = SealingKey::new(&[2; 32]).open(&kid, &sealed);
        assert_eq!(other.unwrap_err(), Unsealable { kid });
    }

    #[test]
    fn a_key_is_sealed_under_its_name_and_changed_nowhere() {
        let sealing = SealingKey::new(&[1; 32]);
        let (kid, sealed) = sealed(&sealing);
        let other = SigningKey::from_seed(&[8; 32]);
        assert!(sealing.open(other.kid(), &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealing.open(&kid, &changed).is_err(), "byte {at}");
        }
        for length in [0, NONCE_LEN - 1, NONCE_LEN, sealed.len() - 1] {
            assert!(sealing.open(&kid, &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_stored_shows_nothing_of_the_seed_and_never_repeats() {
        let (sealing, random) = (SealingKey::new(&[1; 32]), Random::seeded(1));
        let (one, other) = (sealing.seal("a", &SEED, &random), sealing.seal("a", &SEED, &random));
        assert_ne!(one, other);
        assert!(!one.windows(4).any(|window| window == &SEED[..4]));
    }

    #[test]
    fn its_text_is_32_bytes_in_base64_or_hexadecimal() {
        let opens = |text: &str| {
            let (kid, sealed) = sealed(&SealingKey::new(&[0xfb; 32]));
            SealingKey::parse(&text.into()).is_some_and(|key| key.open(&kid, &sealed).is_ok())
        };
        let standard = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=";
        assert!(opens(standard));
        assert!(opens(standard.trim_end_matches('=')));
        assert!(opens(&standard.replace('+', "-").replace('/', "_")));
        assert!(opens(&"fb".repeat(32)));
        assert!(opens(&"FB".repeat(32)));
        for wrong in ["", "secret", &"fb".repeat(31), &"fg".repeat(32), &"+/v7".repeat(8), "a b"] {
            assert!(SealingKey::parse(&wrong.into()).is_none(), "{wrong}");
        }
    }
}
