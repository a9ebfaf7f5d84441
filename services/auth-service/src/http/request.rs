//! What requests of the edge API say besides who asks.

use chassis::Problem;
use secrecy::SecretString;
use serde::Deserialize;
use types::{FieldError, IdError, SessionId};

/// The id in the path.
pub(super) fn id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|error: IdError| Problem::fields(vec![FieldError::of("id", error.to_string())]))
}

/// Who wants an account.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Registration {
    email: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

impl Registration {
    pub(super) fn read(self) -> Result<(String, String, SecretString), Problem> {
        let fields = [("email", self.email), ("name", self.name), ("password", self.password)];
        let [email, name, password] = given(fields)?;
        Ok((email, name, password.into()))
    }
}

/// Who wants to log in.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Login {
    email: Option<String>,
    password: Option<String>,
}

impl Login {
    pub(super) fn read(self) -> Result<(String, SecretString), Problem> {
        let [email, password] = given([("email", self.email), ("password", self.password)])?;
        Ok((email, password.into()))
    }
}

/// Who has a refresh token.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Token {
    refresh_token: Option<String>,
}

impl Token {
    pub(super) fn read(self) -> Result<SecretString, Problem> {
        let [token] = given([("refresh_token", self.refresh_token)])?;
        Ok(token.into())
    }
}

/// Who wants another password.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewPassword {
    current_password: Option<String>,
    new_password: Option<String>,
}

impl NewPassword {
    pub(super) fn read(self) -> Result<(SecretString, SecretString), Problem> {
        let fields = [("current_password", self.current_password), ("new_password", self.new_password)];
        let [current, new] = given(fields)?;
        Ok((current.into(), new.into()))
    }
}

/// The fields' texts, or all fields that are missing.
fn given<const N: usize>(fields: [(&str, Option<String>); N]) -> Result<[String; N], Problem> {
    let missing = fields.iter().filter(|(_, text)| text.is_none());
    let missing: Vec<_> = missing.map(|(name, _)| FieldError::of(name, "must be text")).collect();
    if missing.is_empty() {
        Ok(fields.map(|(_, text)| text.unwrap_or_default()))
    } else {
        Err(Problem::fields(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_that_are_missing_are_named() {
        let text = |text: &str| Some(text.to_owned());
        let missing = given([("email", None), ("name", text("Ada")), ("password", None)]).unwrap_err();
        let named: Vec<_> = missing.errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(named, ["/email", "/password"]);
        assert_eq!(given([("email", text("")), ("name", text("Ada"))]).unwrap(), ["", "Ada"]);
    }
}
