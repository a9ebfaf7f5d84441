use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, DeserializeSeed as _};
use types::ErrorClass;

use super::strict::Overseer;
use super::typed;
use crate::Problem;
use crate::inbound::BodyError;

/// A request's body, read from JSON.
///
/// Refused with the field's pointer are fields that `T` does not have, names that stand twice, wrong types,
/// U+0000 and great depth, wherever they stand. Text that is not JSON is refused with its line and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(
    /// What was read.
    pub T,
);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let problem =
                Problem::new(ErrorClass::Invalid, "the header content-type must be application/json");
            return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if request.headers().contains_key(CONTENT_ENCODING) {
            let problem =
                Problem::new(ErrorClass::Invalid, "the body must not be encoded: leave out content-encoding");
            return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = request.into_body().collect().await.map_err(|error| unread(&error))?;
        parse(&body.to_bytes()).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

fn unread(error: &axum::Error) -> Problem {
    match BodyError::among(error) {
        Some(known) => known.problem(),
        None => Problem::new(ErrorClass::Invalid, "the body could not be read"),
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    oversee(body)?;
    // serde takes an array for a struct, too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::new(ErrorClass::Invalid, "the body must be an object"));
    }
    let mut input = serde_json::Deserializer::from_slice(body);
    typed(&mut input).map_err(Problem::fields)
}

/// Reads the whole of `body` for what may not stand anywhere.
fn oversee(body: &[u8]) -> Result<(), Problem> {
    let mut input = serde_json::Deserializer::from_slice(body);
    let (mut pointer, mut found) = (String::new(), None);
    let read = Overseer::new(&mut pointer, &mut found).deserialize(&mut input).and_then(|()| input.end());
    match (read, found) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(field)) => Err(Problem::fields(vec![field])),
        (Err(error), None) => {
            let (line, column) = (error.line(), error.column());
            let detail = format!("the body is not JSON: line {line}, column {column}");
            Err(Problem::new(ErrorClass::Invalid, detail))
        }
    }
}
