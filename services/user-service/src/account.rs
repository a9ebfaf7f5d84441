//! What an account is, what may be in one, and what changes it. Pure and total: no I/O, no clock.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;
use types::{Email, FieldError, Role, Timestamp, UserId, is_control};

use crate::password::NewPassword;

/// An account. Its password's hash is not part of it and leaves the store for a check alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Never changes, and is never used again.
    pub(crate) id: UserId,
    /// Belongs to no other account.
    pub(crate) email: Email,
    /// What the person wants to be called.
    pub(crate) name: Name,
    /// What the account may do.
    pub(crate) role: Role,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// 1 for a new account, one more with each change, of the password too.
    pub(crate) version: i64,
}

impl Account {
    /// The account after `change`, or nothing where that changes nothing: a change that is asked for twice
    /// takes effect once.
    pub(crate) fn changed(&self, change: &Change) -> Option<Self> {
        let mut after = self.clone();
        after.email = change.email.clone().unwrap_or(after.email);
        after.name = change.name.clone().unwrap_or(after.name);
        after.role = change.role.unwrap_or(after.role);
        (after != *self).then(|| Self { version: self.version + 1, ..after })
    }
}

/// What to change of an account; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The new address.
    pub(crate) email: Option<Email>,
    /// The new name.
    pub(crate) name: Option<Name>,
    /// The new role.
    pub(crate) role: Option<Role>,
}

impl Change {
    /// Another role and nothing else.
    pub(crate) fn of_role(role: Role) -> Self {
        Self { role: Some(role), ..Self::default() }
    }

    /// What an owner may change of the own profile.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub(crate) fn of_profile(email: Option<&str>, name: Option<&str>) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let email = email.and_then(|text| field("email", text.parse(), &mut wrong));
        let name = name.and_then(|text| field("name", text.parse(), &mut wrong));
        if wrong.is_empty() { Ok(Self { email, name, role: None }) } else { Err(wrong) }
    }
}

/// An account to be made; its role is [`Role::Customer`].
#[derive(Debug)]
pub(crate) struct NewAccount {
    /// Its address.
    pub(crate) email: Email,
    /// Its name.
    pub(crate) name: Name,
    /// Its password.
    pub(crate) password: NewPassword,
}

impl NewAccount {
    /// Reads what somebody sent who wants an account.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub(crate) fn parse(email: &str, name: &str, password: SecretString) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let email = field("email", email.parse::<Email>(), &mut wrong);
        let name = field("name", name.parse(), &mut wrong);
        let password = field("password", NewPassword::parse(password, email.as_ref()), &mut wrong);
        match (email, name, password) {
            (Some(email), Some(name), Some(password)) => Ok(Self { email, name, password }),
            _ => Err(wrong),
        }
    }
}

/// What a person wants to be called: any script, one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

/// The text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} characters without control characters", Name::MOST_CHARACTERS)]
pub(crate) struct NameError;

impl Name {
    /// Longer than any name a form or a label has room for.
    const MOST_CHARACTERS: usize = 200;

    /// One that was accepted before and kept since, whatever the rules are now.
    pub(crate) fn kept(name: String) -> Self {
        Self(name)
    }

    /// The name, without white space around it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        let fits = (1..=Self::MOST_CHARACTERS).contains(&name.chars().count());
        if fits && !name.contains(is_control) { Ok(Self(name.to_owned())) } else { Err(NameError) }
    }
}

/// Keeps the value, or notes what is wrong with the field.
fn field<T, E: fmt::Display>(name: &str, parsed: Result<T, E>, wrong: &mut Vec<FieldError>) -> Option<T> {
    parsed.map_err(|error| wrong.push(FieldError::of(name, error.to_string()))).ok()
}

#[cfg(test)]
mod tests {
    use types::{Id, Timestamp};

    use super::*;

    fn ada() -> Account {
        Account {
            id: Id::from_uuid(uuid::Uuid::from_u128(7)),
            email: "ada@example.com".parse().unwrap(),
            name: "Ada".parse().unwrap(),
            role: Role::Customer,
            created_at: Timestamp::from_micros(1),
            version: 3,
        }
    }

    fn profile(email: Option<&str>, name: Option<&str>) -> Change {
        Change::of_profile(email, name).unwrap()
    }

    #[test]
    fn a_change_touches_what_it_names_and_raises_the_version_by_one() {
        let renamed = ada().changed(&profile(None, Some("Countess")));
        assert_eq!(renamed, Some(Account { name: "Countess".parse().unwrap(), version: 4, ..ada() }));
        let promoted = ada().changed(&Change::of_role(Role::Operator));
        assert_eq!(promoted, Some(Account { role: Role::Operator, version: 4, ..ada() }));
    }

    #[test]
    fn a_change_to_what_is_there_already_is_none() {
        assert_eq!(ada().changed(&Change::default()), None);
        assert_eq!(ada().changed(&profile(Some("ADA@example.com"), Some(" Ada "))), None);
    }

    #[test]
    fn all_wrong_fields_are_told_at_once() {
        let refused = NewAccount::parse("nobody", " ", "short".into());
        let fields: Vec<_> = refused.unwrap_err().into_iter().map(|wrong| wrong.pointer).collect();
        assert_eq!(fields, ["/email", "/name", "/password"]);
        let refused = Change::of_profile(Some("nobody"), Some("\u{7}"));
        let fields: Vec<_> = refused.unwrap_err().into_iter().map(|wrong| wrong.pointer).collect();
        assert_eq!(fields, ["/email", "/name"]);
    }

    #[test]
    fn a_name_is_one_line_of_at_most_200_characters_in_any_script() {
        for name in ["A", "Åsa Öström", "山田太郎", "👩🏽‍🚀", &"é".repeat(200)] {
            assert_eq!(name.parse::<Name>().as_ref().map(Name::as_str), Ok(name));
        }
        let lines = ["a\nb", "a\u{85}b", "a\u{2028}b", "a\u{2029}b"];
        let turns = ["a\u{202A}b", "a\u{202E}b", "a\u{2066}b", "a\u{2069}b"];
        for name in ["", "  ", "a\0b", "\u{1b}[31m", &"é".repeat(201)].into_iter().chain(lines).chain(turns)
        {
            assert_eq!(name.parse::<Name>(), Err(NameError), "{name:?}");
        }
    }
}
