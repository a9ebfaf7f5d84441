//! Strict extractors for handlers: whatever is wrong with a body or a query is refused with a problem that names the
//! field.

mod json;
mod pointer;
mod query;
mod strict;

pub use json::Json;
pub use query::Query;

use serde::de::DeserializeOwned;
use types::FieldError;

/// More are not told: nobody mends twenty fields at once, and the caller decides how many there are.
const MOST_TOLD: usize = 20;

/// Reads a `T` and refuses every field that `T` does not have; the fields that are wrong.
fn typed<'de, T, D>(input: D) -> Result<T, Vec<FieldError>>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| {
        if unknown.len() < MOST_TOLD {
            let detail = "is not known here".to_owned();
            unknown.push(FieldError { pointer: pointer::of_ignored(&path), detail });
        }
    };
    let read = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(input, &mut note));
    match read {
        Ok(_) if !unknown.is_empty() => Err(unknown),
        Ok(value) => Ok(value),
        Err(error) => {
            let detail = error.inner().to_string();
            // The pointer says it better than serde_json's line and column.
            let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
            Err(vec![FieldError { pointer: pointer::of(error.path()), detail }])
        }
    }
}
