/// One field of a request that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as a JSON Pointer (RFC 6901), such as `/email`.
    pub pointer: String,
    /// What would be right, in words for the person who sent it.
    pub detail: String,
}

impl FieldError {
    /// A wrong top-level field.
    pub fn of(field: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("/{field}"), detail: detail.into() }
    }
}
