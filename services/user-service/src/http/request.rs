//! What requests of the edge API say besides who asks.

use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
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

/// Which versions of an account a request is meant for (RFC 9110, section 13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: whichever is there.
    Any,
    /// One of those with these `ETag`s.
    OneOf(Vec<i64>),
}

impl IfMatch {
    /// The header, which need not be there. One that is no list of tags matches nothing.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        headers.contains_key(IF_MATCH).then(|| {
            let lines: Result<Vec<&str>, _> =
                headers.get_all(IF_MATCH).iter().map(HeaderValue::to_str).collect();
            // Several lines are one list (section 5.3).
            match lines.unwrap_or_default().join(",").as_str() {
                "*" => Self::Any,
                list => Self::OneOf(versions(list).unwrap_or_default()),
            }
        })
    }

    /// The header, without which nothing is changed: two windows of one owner must not undo each other.
    pub(super) fn required(headers: &HeaderMap) -> Result<Self, Problem> {
        let missing = "the header if-match must be the etag that was read, or *";
        let problem =
            Problem::new(ErrorClass::Invalid, missing).with_status(StatusCode::PRECONDITION_REQUIRED);
        Self::of(headers).ok_or(problem)
    }

    /// The versions, where they matter.
    pub(super) fn versions(&self) -> Option<&[i64]> {
        match self {
            Self::Any => None,
            Self::OneOf(versions) => Some(versions),
        }
    }
}

/// The versions that a list of entity tags names, or nothing where it is no such list (RFC 9110, section 8.8.3).
fn versions(list: &str) -> Option<Vec<i64>> {
    const BLANK: [char; 2] = [' ', '\t'];
    let (mut versions, mut rest) = (Vec::new(), list);
    loop {
        // A list may have empty members, and what stands between the quotes of a tag may be a comma.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(versions);
        }
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        // A weak tag matches nothing.
        versions.extend(version(tag).filter(|_| weak.is_none()));
        rest = after.trim_start_matches(BLANK);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// The version that has this tag, in the one form in which it was handed out.
fn version(tag: &str) -> Option<i64> {
    tag.parse().ok().filter(|version: &i64| *version > 0 && version.to_string() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers<T: std::fmt::Debug>(read: Result<T, Problem>) -> Vec<String> {
        read.unwrap_err().errors().iter().map(|error| error.pointer.clone()).collect()
    }

    fn if_match(lines: &[&str]) -> Option<IfMatch> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, line.parse().unwrap());
        }
        IfMatch::of(&headers)
    }

    #[test]
    fn a_version_is_told_by_its_etag() {
        assert_eq!(if_match(&["\"7\""]), Some(IfMatch::OneOf(vec![7])));
        assert_eq!(if_match(&["*"]), Some(IfMatch::Any));
        assert_eq!(if_match(&[]), None);
    }

    #[test]
    fn one_etag_of_a_list_is_enough_in_however_many_lines_it_comes() {
        let three = Some(IfMatch::OneOf(vec![7, 8, 9]));
        assert_eq!(if_match(&["\"7\", \"8\" ,\"9\""]), three);
        assert_eq!(if_match(&["\"7\"", ", \"8\",, W/\"6\"", "\"a,b\", \"9\""]), three);
    }

    #[test]
    fn what_was_never_handed_out_matches_nothing() {
        let tags = ["W/\"7\"", "\"x\"", "\"-7\"", "\"+7\"", "\"007\"", "\"0\"", "\" 7\"", "\"\""];
        let others = ["", "7", "\"", "\"7", "\"7\" \"8\"", "\"7\"8", "*, \"7\"", "\"99999999999999999999\""];
        for value in tags.into_iter().chain(others) {
            assert_eq!(if_match(&[value]), Some(IfMatch::OneOf(Vec::new())), "{value}");
        }
        assert_eq!(if_match(&["\"7\"", "*"]), Some(IfMatch::OneOf(Vec::new())));
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
