use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use runtime::Random;
use secrecy::{ExposeSecret as _, SecretBox};

use super::jws::{ALGORITHM, SIGNATURE, TYPE, encoded};
use super::{Claims, Issuer};

/// What signs access tokens: an Ed25519 key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    // The encoded header and the dot after it, the same for every token.
    header: String,
}

/// What checks the tokens of one [`SigningKey`]. Clones share it.
#[derive(Clone)]
pub struct PublicKey(Arc<Public>);

struct Public {
    kid: String,
    bytes: [u8; PublicKey::LENGTH],
    parsed: ParsedPublicKey,
}

impl SigningKey {
    /// The length of a seed, all that an Ed25519 key is made from (RFC 8032, section 5.1.5).
    pub const SEED: usize = 32;

    /// The key that `seed` makes.
    pub fn from_seed(seed: &[u8; Self::SEED]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let bytes = pair.public_key().as_ref().try_into().expect("a public key of Ed25519 has 32 bytes");
        let public = PublicKey::parse(bytes).expect("it was made with its private key");
        let header = format!(r#"{{"alg":"{ALGORITHM}","kid":"{}","typ":"{TYPE}"}}"#, public.kid());
        Self { pair, public, header: encoded(header) + "." }
    }

    /// A new key, and its seed to keep.
    pub fn generate(random: &Random) -> (Self, SecretBox<[u8; Self::SEED]>) {
        let seed = SecretBox::init_with_mut(|seed: &mut [u8; Self::SEED]| random.fill(seed));
        (Self::from_seed(seed.expose_secret()), seed)
    }

    /// What tokens name it by.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// What checks its tokens.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The token that says `claims`.
    pub fn sign(&self, issuer: &Issuer, claims: &Claims) -> String {
        let mut token = self.header.clone() + &encoded(claims.write(issuer));
        let signature = encoded(self.pair.sign(token.as_bytes()));
        token.push('.');
        token.push_str(&signature);
        token
    }
}

impl PublicKey {
    pub(super) const LENGTH: usize = 32;

    pub(super) fn parse(bytes: [u8; Self::LENGTH]) -> Option<Self> {
        let parsed = ParsedPublicKey::new(&ED25519, bytes).ok()?;
        Some(Self(Arc::new(Public { kid: thumbprint(&bytes), bytes, parsed })))
    }

    /// What tokens name it by: its thumbprint (RFC 7638), which nobody can give to another key.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0.bytes
    }

    /// Whether it is the one that has signed `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        self.0.parsed.verify_sig(message, signature).is_ok()
    }
}

/// The hash of the members that make the key, in the order of their names (RFC 7638, section 3; RFC 8037, appendix
/// A.3).
fn thumbprint(bytes: &[u8; PublicKey::LENGTH]) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encoded(bytes));
    encoded(digest(&SHA256, members.as_bytes()))
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.kid()).finish()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.kid()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::jws::decoded;
    use super::*;

    /// RFC 8037, appendix A.1.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    /// Appendix A.2.
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    /// Appendix A.3.
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    /// Appendix A.4: a header and a message, and their signature.
    const INPUT: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNED: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        decoded(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn a_key_is_named_and_signs_as_in_rfc_8037() {
        let key = SigningKey::from_seed(&bytes(SEED));
        assert_eq!(encoded(key.public().bytes()), PUBLIC);
        assert_eq!(key.kid(), THUMBPRINT);
        assert_eq!(encoded(key.pair.sign(INPUT.as_bytes())), SIGNED);
    }

    #[test]
    fn a_signature_holds_for_its_message_and_its_key_alone() {
        let (ours, _) = SigningKey::generate(&Random::seeded(1));
        let (other, _) = SigningKey::generate(&Random::seeded(2));
        let signature = ours.pair.sign(b"message").as_ref().try_into().unwrap();
        assert!(ours.public().has_signed(b"message", &signature));
        assert!(!ours.public().has_signed(b"massage", &signature));
        assert!(!other.public().has_signed(b"message", &signature));
        let mut flipped = signature;
        flipped[7] ^= 1;
        assert!(!ours.public().has_signed(b"message", &flipped));
    }

    #[test]
    fn a_second_signature_cannot_be_made_from_one() {
        /// The order of the group, little-endian (RFC 8032, section 5.1).
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let (key, _) = SigningKey::generate(&Random::seeded(1));
        let signature: [u8; SIGNATURE] = key.pair.sign(b"message").as_ref().try_into().unwrap();
        let mut other = signature;
        let mut carry = 0;
        for (byte, order) in other[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert!(key.public().has_signed(b"message", &signature));
        assert!(!key.public().has_signed(b"message", &other));
    }

    #[test]
    fn a_key_comes_back_from_its_seed_and_is_never_printed() {
        let (key, seed) = SigningKey::generate(&Random::seeded(1));
        assert_eq!(SigningKey::from_seed(seed.expose_secret()).public(), key.public());
        assert_eq!(format!("{key:?}"), format!("SigningKey({:?})", key.kid()));
    }
}
