//! The compact form of a signed message (RFC 7515), read without believing any of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::TokenError;
use super::json::Object;

/// Eight of our tokens. It bounds what reading a stranger's costs.
pub(super) const LONGEST: usize = 4_096;

/// The algorithm's name (RFC 8037, section 3.1).
pub(super) const ALGORITHM: &str = "EdDSA";

/// The type of an access token (RFC 9068, section 2.1); a token for anything else has another.
pub(super) const TYPE: &str = "at+jwt";

/// Header parameters that would bring a key, or tell where there is one (RFC 7515, section 4.1), and those that
/// would change the rules (RFC 7515, section 4.1.11, and RFC 7797). Others are ignored, as section 4 demands.
const REFUSED: [&str; 8] = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"];

/// The length of every Ed25519 signature.
pub(super) const SIGNATURE: usize = 64;

/// A token's parts; nothing in them is proven.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) kid: String,
    /// What was signed.
    pub(super) input: &'a [u8],
    pub(super) signature: [u8; SIGNATURE],
    payload: &'a str,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Form);
        };
        let input = &token[..header.len() + 1 + payload.len()];
        let kid = kid_of(&object(header)?)?;
        let signature = decoded(signature)?.try_into().or(Err(TokenError::Form))?;
        Ok(Self { kid, input: input.as_bytes(), signature, payload })
    }

    /// What the signature is about; to be asked for after it has been checked.
    pub(super) fn claims(&self) -> Result<Object, TokenError> {
        object(self.payload)
    }
}

/// Two texts for the same bytes would be two names of one token: padding, other alphabets, white space and bits
/// that mean nothing are refused.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).or(Err(TokenError::Form))
}

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn object(part: &str) -> Result<Object, TokenError> {
    Object::parse(&decoded(part)?).ok_or(TokenError::Json)
}

fn kid_of(header: &Object) -> Result<String, TokenError> {
    if let Some(name) = REFUSED.into_iter().find(|name| header.get(name).is_some()) {
        return Err(TokenError::Header(name));
    }
    if header.text("alg") != Some(ALGORITHM) {
        return Err(TokenError::Algorithm);
    }
    if !header.text("typ").is_some_and(is_access_token) {
        return Err(TokenError::Type);
    }
    header.text("kid").map(str::to_owned).ok_or(TokenError::UnknownKey)
}

/// A media type, in which case does not count and `application/` may be left out (RFC 7515, section 4.1.9).
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
}
