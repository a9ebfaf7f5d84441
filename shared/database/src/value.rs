use types::{Email, Id, Timestamp};
use uuid::Uuid;

/// What goes into a statement and comes out of a row, the same on both databases.
///
/// Times are microseconds as [`Value::Int`], JSON is text as it was written, and SQLite keeps a UUID as its
/// sixteen bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value; SQLite keeps it as 0 or 1.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Text: every Unicode scalar but U+0000, which PostgreSQL cannot keep.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID.
    Uuid(Uuid),
}

/// Why text with U+0000 is refused.
pub(crate) const HAS_NUL: &str = "text holds U+0000, which PostgreSQL cannot keep";

impl Value {
    pub(crate) fn has_nul(&self) -> bool {
        matches!(self, Self::Text(text) if text.contains('\0'))
    }

    /// How many bytes it takes on its way to the database, roughly: for the bound of a group.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Uuid(_) => 16,
            Self::Null | Self::Bool(_) | Self::Int(_) => 8,
        }
    }
}

/// The parameters of a statement, in order: `params![id, "name", None::<i64>]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::Value::from($value)),*] };
}

macro_rules! from {
    ($($from:ty, $value:ident => $into:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

from! {
    bool, value => Self::Bool(value);
    i64, value => Self::Int(value);
    i32, value => Self::Int(value.into());
    u32, value => Self::Int(value.into());
    &str, value => Self::Text(value.to_owned());
    String, value => Self::Text(value);
    &String, value => Self::Text(value.clone());
    Vec<u8>, value => Self::Bytes(value);
    &[u8], value => Self::Bytes(value.to_owned());
    Uuid, value => Self::Uuid(value);
    Timestamp, value => Self::Int(value.micros());
    &Email, value => Self::Text(value.as_str().to_owned());
}

impl<T> From<Id<T>> for Value {
    fn from(id: Id<T>) -> Self {
        Self::Uuid(id.uuid())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
