//! Which passwords may be chosen.

use secrecy::{ExposeSecret as _, SecretString};
use types::Email;

/// A password that may be chosen for an account. Wiped when it is dropped, and never printed.
#[derive(Debug)]
pub(crate) struct NewPassword(SecretString);

/// Why a password may not be chosen. There are no rules of composition: they make passwords harder to
/// remember and not harder to guess (NIST SP 800-63B, section 5.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// It is shorter than can be kept from guessing, or longer than anybody types.
    #[error("must be {} to {} characters", NewPassword::LEAST_CHARACTERS, NewPassword::MOST_CHARACTERS)]
    Length,
    /// It is among the first that an attacker tries.
    #[error("is among the most common passwords; choose another")]
    Common,
    /// Whoever knows the account knows it.
    #[error("must not be the e-mail address")]
    IsEmail,
}

impl NewPassword {
    const LEAST_CHARACTERS: usize = 8;
    const MOST_CHARACTERS: usize = 128;

    /// The password itself, for hashing.
    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Checks `password` against the rules for an account of `email`, if that is known.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub(crate) fn parse(password: SecretString, email: Option<&Email>) -> Result<Self, PasswordError> {
        let text = password.expose_secret();
        if !(Self::LEAST_CHARACTERS..=Self::MOST_CHARACTERS).contains(&text.chars().count()) {
            return Err(PasswordError::Length);
        }
        let folded = SecretString::from(text.to_lowercase());
        if email.is_some_and(|email| email.as_str() == folded.expose_secret()) {
            return Err(PasswordError::IsEmail);
        }
        // The list has some in mixed case.
        if is_common(text) || is_common(folded.expose_secret()) {
            return Err(PasswordError::Common);
        }
        Ok(Self(password))
    }
}

/// Whether it is on the list of the crate `passwords` (MIT licence): 99,838 of them from public leaks.
fn is_common(password: &str) -> bool {
    passwords::analyzer::is_common_password(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(password: &str) -> Result<(), PasswordError> {
        let email = "ada.lovelace@example.com".parse().unwrap();
        NewPassword::parse(password.into(), Some(&email)).map(drop)
    }

    #[test]
    fn a_password_has_8_to_128_characters_of_any_kind() {
        for password in ["ab cd ef", "密码很难猜到吧哈", &"é\0".repeat(64)] {
            assert_eq!(parse(password), Ok(()), "{password}");
        }
        for password in ["", "ab cd e", &"é".repeat(129)] {
            assert_eq!(parse(password), Err(PasswordError::Length), "{password}");
        }
    }

    #[test]
    fn a_common_password_is_refused_in_any_case() {
        for password in ["password1", "PASSWORD1", "iloveyou", "qwertyuiop", "QwertyUiop", "12345678"] {
            assert_eq!(parse(password), Err(PasswordError::Common), "{password}");
        }
    }

    #[test]
    fn the_e_mail_address_is_no_password_in_any_case() {
        assert_eq!(parse("Ada.Lovelace@example.com"), Err(PasswordError::IsEmail));
    }
}
