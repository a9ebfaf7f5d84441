use std::borrow::Cow;
use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use types::FieldError;

use super::{pointer, typed};
use crate::Problem;

/// A request's query. A parameter that `T` does not have, that stands twice, that holds U+0000 or is not UTF-8 is
/// refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(
    /// What was read.
    pub T,
);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Self).map_err(Problem::fields)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Vec<FieldError>> {
    let mut names = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = parameter(pair).map_err(|wrong| vec![wrong])?;
        if names.contains(&name) {
            return Err(vec![wrong(&name, "must not be given twice")]);
        }
        names.insert(name);
    }
    typed(serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes())))
}

/// The name of a parameter that is as it should be.
fn parameter(pair: &str) -> Result<String, FieldError> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = decoded(name).ok_or_else(|| wrong(name, "must have a name in UTF-8"))?;
    let value = decoded(value).ok_or_else(|| wrong(&name, "must be UTF-8"))?;
    if name.contains('\0') || value.contains('\0') {
        return Err(wrong(&name, "must not contain U+0000"));
    }
    Ok(name)
}

fn wrong(name: &str, detail: &str) -> FieldError {
    let mut pointer = String::new();
    pointer::push(&mut pointer, name);
    FieldError { pointer, detail: detail.to_owned() }
}

/// `application/x-www-form-urlencoded`, strictly.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}
