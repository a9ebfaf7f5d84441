//! What requests of the edge API say besides who asks.

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use chassis::Problem;
use serde::{Deserialize, Deserializer};
use types::{ErrorClass, FieldError, IdError, UserId};

use crate::account::Change;

/// The id in the path.
pub(super) fn id(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|error: IdError| Problem::fields(vec![FieldError::of("id", error.to_string())]))
}

/// What an owner wants changed; what is absent stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    #[serde(deserialize_with = "text")]
    email: Option<String>,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
}

/// `null` is no text: nothing of a profile can be taken away.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

impl Profile {
    pub(super) fn change(&self) -> Result<Change, Problem> {
        Change::of_profile(self.email.as_deref(), self.name.as_deref()).map_err(Problem::fields)
    }
}

/// Which accounts are on a page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cut {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Cut {
    /// A screen or two.
    const DEFAULT_LIMIT: u32 = 50;
    /// About 50 KB of JSON.
    const MOST: u32 = 200;

    /// The account to go on after, and how many there are on a page.
    pub(super) fn read(&self) -> Result<(Option<UserId>, u32), Problem> {
        let mut wrong = Vec::new();
        let after = self.cursor.as_ref().map(|text| text.parse()).transpose();
        if after.is_err() {
            wrong.push(FieldError::of("cursor", "must be the next_cursor of an earlier page"));
        }
        let limit = self.limit.unwrap_or(Self::DEFAULT_LIMIT);
        if !(1..=Self::MOST).contains(&limit) {
            wrong.push(FieldError::of("limit", format!("must be a number from 1 to {}", Self::MOST)));
        }
        match after {
            Ok(after) if wrong.is_empty() => Ok((after, limit)),
            _ => Err(Problem::fields(wrong)),
        }
    }
}

/// Which version of an account a request is meant for (RFC 9110, section 13.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: whichever is there.
    Any,
    /// The one with this `ETag`.
    Version(i64),
}

impl IfMatch {
    /// The header, which need not be there.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
        if value == "*" {
            return Ok(Some(Self::Any));
        }
        let tag = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
        // What was never handed out, a weak tag among them, matches nothing.
        let version = tag.and_then(|tag| tag.parse().ok()).filter(|version| *version > 0);
        let stale = "the header if-match is not the etag of this account";
        version
            .map(|version| Some(Self::Version(version)))
            .ok_or(Problem::new(ErrorClass::Precondition, stale))
    }

    /// The header, without which nothing is changed: two windows of one owner must not undo each other.
    pub(super) fn required(headers: &HeaderMap) -> Result<Self, Problem> {
        let missing = "the header if-match must be the etag that was read, or *";
        Self::of(headers)?.ok_or(Problem::new(ErrorClass::Precondition, missing))
    }

    /// The version, where it matters.
    pub(super) fn version(self) -> Option<i64> {
        match self {
            Self::Any => None,
            Self::Version(version) => Some(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers<T: std::fmt::Debug>(read: Result<T, Problem>) -> Vec<String> {
        read.unwrap_err().errors().iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn a_version_is_told_by_its_etag() {
        let of = |value: &str| IfMatch::of(&HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())]));
        assert_eq!(of("\"7\"").unwrap(), Some(IfMatch::Version(7)));
        assert_eq!(of("*").unwrap(), Some(IfMatch::Any));
        assert_eq!(IfMatch::of(&HeaderMap::new()).unwrap(), None);
        for value in ["7", "W/\"7\"", "\"x\"", "\"-7\"", "\"7\", \"8\"", "\"", ""] {
            assert_eq!(of(value).unwrap_err().class(), ErrorClass::Precondition, "{value}");
        }
        assert_eq!(IfMatch::required(&HeaderMap::new()).unwrap_err().class(), ErrorClass::Precondition);
    }

    #[test]
    fn a_page_starts_at_its_cursor_and_has_its_limit() {
        let id = "0190b3c8-7c5e-7000-8000-00000000000a";
        let second = Cut { cursor: Some(id.to_owned()), limit: Some(200) };
        assert_eq!(second.read().unwrap(), (Some(id.parse().unwrap()), 200));
        assert_eq!(Cut::default().read().unwrap(), (None, Cut::DEFAULT_LIMIT));
        let wrong = Cut { cursor: Some("7".to_owned()), limit: Some(0) };
        assert_eq!(pointers(wrong.read()), ["/cursor", "/limit"]);
        assert_eq!(pointers(Cut { cursor: None, limit: Some(201) }.read()), ["/limit"]);
    }
}
