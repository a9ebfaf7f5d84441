use serde::Serialize;
use types::{Id, Role, SessionId, Timestamp, UserId};
use uuid::Uuid;

use super::TokenError;
use super::json::{Object, Value};

/// What an access token says.
///
/// In the token, times are whole seconds; what is left of a second is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose request it is (`sub`).
    pub user: UserId,
    /// In which login (`sid`).
    pub session: SessionId,
    /// What the user may do.
    pub role: Role,
    /// The version of the account that it was made for (`ver`): revocations name the first version that stays, so
    /// that no two clocks are compared.
    pub version: i64,
    /// The token's own id (`jti`).
    pub id: Uuid,
    /// When it was made (`iat`).
    pub issued_at: Timestamp,
    /// From when on it may be used (`nbf`).
    pub not_before: Timestamp,
    /// From when on it may not be used any more (`exp`).
    pub expires_at: Timestamp,
}

/// Who issues access tokens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The issuer's name, a URL (`iss`).
    pub issuer: String,
    /// The platform that the tokens are meant for (`aud`).
    pub audience: String,
}

impl Default for Issuer {
    /// One platform, which issues its tokens itself.
    fn default() -> Self {
        Self { issuer: "https://flotilla.internal".to_owned(), audience: "flotilla".to_owned() }
    }
}

impl Issuer {
    /// Checks that a token is from this issuer and for its audience.
    pub(super) fn check(&self, token: &Object) -> Result<(), TokenError> {
        if token.text("iss") != Some(&self.issuer) {
            return Err(TokenError::Issuer);
        }
        if self.is_meant(token) { Ok(()) } else { Err(TokenError::Audience) }
    }

    /// One audience, or a list of them (RFC 7519, section 4.1.3).
    fn is_meant(&self, token: &Object) -> bool {
        let text = |value: &Value| matches!(value, Value::Text(_));
        let ours = |value: &Value| matches!(value, Value::Text(audience) if *audience == self.audience);
        match token.get("aud") {
            Some(Value::List(audiences)) => audiences.iter().all(text) && audiences.iter().any(ours),
            Some(audience) => ours(audience),
            None => false,
        }
    }
}

const MICROS: i64 = 1_000_000;

impl Claims {
    pub(super) fn read(token: &Object) -> Result<Self, TokenError> {
        Ok(Self {
            user: id(token, "sub")?,
            session: id(token, "sid")?,
            role: token.text("role").and_then(|role| role.parse().ok()).ok_or(TokenError::Claim("role"))?,
            version: token.whole("ver").ok_or(TokenError::Claim("ver"))?,
            id: id::<()>(token, "jti")?.uuid(),
            issued_at: date(token, "iat")?,
            not_before: date(token, "nbf")?,
            expires_at: date(token, "exp")?,
        })
    }

    /// The claims as JSON.
    pub(super) fn write(&self, issuer: &Issuer) -> Vec<u8> {
        let members = Members {
            iss: &issuer.issuer,
            sub: self.user.uuid(),
            aud: &issuer.audience,
            exp: seconds(self.expires_at),
            nbf: seconds(self.not_before),
            iat: seconds(self.issued_at),
            jti: self.id,
            sid: self.session.uuid(),
            role: self.role.as_str(),
            ver: self.version,
        };
        serde_json::to_vec(&members).expect("texts and numbers are always JSON")
    }
}

#[derive(Serialize)]
struct Members<'a> {
    iss: &'a str,
    sub: Uuid,
    aud: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: Uuid,
    sid: Uuid,
    role: &'static str,
    ver: i64,
}

fn id<T>(token: &Object, claim: &'static str) -> Result<Id<T>, TokenError> {
    token.text(claim).and_then(|text| text.parse().ok()).ok_or(TokenError::Claim(claim))
}

/// RFC 7519 has fractions of a second, too; our issuer does not write any.
fn date(token: &Object, claim: &'static str) -> Result<Timestamp, TokenError> {
    let seconds = token.whole(claim).filter(|seconds| *seconds >= 0);
    let micros = seconds.and_then(|seconds| seconds.checked_mul(MICROS));
    micros.map(Timestamp::from_micros).ok_or(TokenError::Claim(claim))
}

const fn seconds(moment: Timestamp) -> i64 {
    moment.micros().div_euclid(MICROS)
}
