use std::sync::Arc;

use serde::Serialize;
use types::{Classify, ErrorClass};

use super::PublicKey;
use super::json::{Object, Value};
use super::jws::{ALGORITHM, decoded, encoded};

/// The keys that access tokens are checked with at one time. Clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Arc<[PublicKey]>);

/// The text is no key set of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON Web Key Set.
    #[error("must be a JSON object with a list of keys, and name nothing twice")]
    Json,
    /// Nothing could be checked with it.
    #[error("must have a key for EdDSA with Ed25519")]
    Empty,
    /// More than an issuer that rotates its keys ever has.
    #[error("must not have more than {} keys", KeySet::MOST)]
    TooMany,
    /// A private key was published.
    #[error("must not have private keys")]
    Private,
    /// A key has not 32 bytes in base64url, or a name that is not its thumbprint.
    #[error("must have keys of 32 bytes in base64url, each named by its thumbprint")]
    Key,
}

const KIND: &str = "OKP";
const CURVE: &str = "Ed25519";
const USE: &str = "sig";

impl KeySet {
    /// Keys overlap at a rotation, which lasts minutes; this many rotations at once are a mistake.
    const MOST: usize = 16;

    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Reads a JSON Web Key Set (RFC 7517). Keys for other algorithms and uses are passed over.
    ///
    /// # Errors
    /// [`KeySetError`], also where nothing is left.
    pub fn from_jwks(json: &str) -> Result<Self, KeySetError> {
        let set = Object::parse(json.as_bytes()).ok_or(KeySetError::Json)?;
        let members = set.list("keys").ok_or(KeySetError::Json)?;
        if members.len() > Self::MOST {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<_> =
            members.iter().filter_map(|key| read(key).transpose()).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self::new(keys)) }
    }

    /// The set as JSON (RFC 7517).
    pub fn to_jwks(&self) -> String {
        let keys = self.0.iter().map(Member::from).collect();
        serde_json::to_string(&Members { keys }).expect("texts are always JSON")
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of this name.
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.iter().find(|key| key.kid() == kid)
    }

    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        other.iter().all(|key| self.0.contains(key))
    }
}

/// One key; none where it is for something else.
fn read(key: &Value) -> Result<Option<PublicKey>, KeySetError> {
    let Value::Object(key) = key else { return Err(KeySetError::Json) };
    if key.get("d").is_some() {
        return Err(KeySetError::Private);
    }
    let is_or_absent = |name, value| key.get(name).is_none() || key.text(name) == Some(value);
    let is_ours = key.text("kty") == Some(KIND)
        && key.text("crv") == Some(CURVE)
        && is_or_absent("use", USE)
        && is_or_absent("alg", ALGORITHM);
    if !is_ours {
        return Ok(None);
    }
    let bytes = key.text("x").and_then(|x| decoded(x).ok()?.try_into().ok());
    let public = bytes.and_then(PublicKey::parse).filter(|public| key.text("kid") == Some(public.kid()));
    public.map(Some).ok_or(KeySetError::Key)
}

#[derive(Serialize)]
struct Members<'a> {
    keys: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: &'a str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

impl<'a> From<&'a PublicKey> for Member<'a> {
    fn from(key: &'a PublicKey) -> Self {
        let x = encoded(key.bytes());
        Self { kty: KIND, crv: CURVE, x, kid: key.kid(), usage: USE, alg: ALGORITHM }
    }
}

impl Classify for KeySetError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Internal
    }
}

#[cfg(test)]
mod tests {
    use runtime::Random;

    use super::super::SigningKey;
    use super::*;

    fn key(seed: u64) -> PublicKey {
        SigningKey::generate(&Random::seeded(seed)).0.public()
    }

    /// A set of one key, written with what `change` replaces.
    fn changed(from: &str, to: &str) -> Result<KeySet, KeySetError> {
        let text = KeySet::new([key(1)]).to_jwks();
        assert!(text.contains(from), "{text}");
        KeySet::from_jwks(&text.replace(from, to))
    }

    #[test]
    fn a_set_goes_through_its_text_unchanged() {
        let set = KeySet::new([key(1), key(2)]);
        assert_eq!(KeySet::from_jwks(&set.to_jwks()), Ok(set.clone()));
        assert_eq!(set.get(key(2).kid()), Some(&key(2)));
        assert_eq!(set.get(key(3).kid()), None);
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let ours = KeySet::new([key(1)]);
        for other in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","use":"enc","x":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","alg":"ES256","x":"AAAA"}"#,
            r#"{"kty":7}"#,
        ] {
            let text = ours.to_jwks().replacen('[', &format!("[{other},"), 1);
            assert_eq!(KeySet::from_jwks(&text), Ok(ours.clone()), "{other}");
            let alone = format!(r#"{{"keys":[{other}]}}"#);
            assert_eq!(KeySet::from_jwks(&alone), Err(KeySetError::Empty), "{other}");
        }
    }

    #[test]
    fn what_is_no_set_of_public_keys_is_refused() {
        let (mine, other) = (key(1), key(2));
        let x = encoded(mine.bytes());
        for (from, to, why) in [
            (mine.kid(), other.kid(), KeySetError::Key),
            (r#""kid":"#, r#""kind":"#, KeySetError::Key),
            (x.as_str(), &x[1..], KeySetError::Key),
            (x.as_str(), &format!("{x}="), KeySetError::Key),
            (r#""use":"sig""#, r#""d":"AAAA""#, KeySetError::Private),
            (r#""use":"sig""#, r#""kty":"OKP""#, KeySetError::Json),
            (r#""keys":"#, r#""key":"#, KeySetError::Json),
            ("[{", "[7,{", KeySetError::Json),
            ("}]}", "}]}}", KeySetError::Json),
        ] {
            assert_eq!(changed(from, to), Err(why), "{from} to {to}");
        }
        assert_eq!(KeySet::from_jwks(r#"{"keys":[]}"#), Err(KeySetError::Empty));
        let many = KeySet::new((0..=16).map(key));
        assert_eq!(KeySet::from_jwks(&many.to_jwks()), Err(KeySetError::TooMany));
    }
}
