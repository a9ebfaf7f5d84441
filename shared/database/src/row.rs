use types::{Id, Timestamp};
use uuid::Uuid;

use crate::{ReadError, Value};

/// Rows that one answer may hold: ten pages of the largest page we serve. Whoever needs more reads in pages.
pub(crate) const MOST_ROWS: usize = 10_000;

/// One row of an answer. Columns are told by position, in the order of the `SELECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The value in `column`.
    ///
    /// # Errors
    /// [`ReadError::Column`] when there is no such column or it holds something else, NULL included.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T, ReadError> {
        let wrong = || ReadError::Column { column, expected: T::NAME };
        self.0.get(column).and_then(T::from_value).ok_or_else(wrong)
    }
}

/// What can be read from a column.
pub trait FromValue: Sized {
    /// The name in an error.
    const NAME: &'static str;

    /// The value, or nothing if the column holds something else.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($into:ty, $name:literal: $($pattern:pat => $read:expr),+;)*) => {
        $(impl FromValue for $into {
            const NAME: &'static str = $name;

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $($pattern => $read,)+
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    bool, "a truth value": Value::Bool(it) => Some(*it), Value::Int(0) => Some(false), Value::Int(1) => Some(true);
    i64, "a whole number": Value::Int(it) => Some(*it);
    String, "text": Value::Text(it) => Some(it.clone());
    Vec<u8>, "bytes": Value::Bytes(it) => Some(it.clone());
    Uuid, "a UUID": Value::Uuid(it) => Some(*it), Value::Bytes(it) => Uuid::from_slice(it).ok();
    Timestamp, "a time in microseconds": Value::Int(it) => Some(Timestamp::from_micros(*it));
}

impl<T> FromValue for Id<T> {
    const NAME: &'static str = Uuid::NAME;

    fn from_value(value: &Value) -> Option<Self> {
        Uuid::from_value(value).map(Self::from_uuid)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_read_as_what_it_is_and_as_nothing_else() {
        let id = Uuid::from_u128(7);
        let row = Row::new(vec![Value::Null, Value::Int(1), Value::Bytes(id.as_bytes().to_vec())]);
        assert_eq!(row.get::<Option<i64>>(0).unwrap(), None);
        assert_eq!(row.get::<i64>(1).unwrap(), 1);
        assert!(row.get::<bool>(1).unwrap());
        assert_eq!(row.get::<Uuid>(2).unwrap(), id);
        let message = |wrong: ReadError| wrong.to_string();
        assert_eq!(
            row.get::<i64>(0).map_err(message),
            Err("column 0 does not hold a whole number".to_owned())
        );
        assert_eq!(row.get::<String>(1).map_err(message), Err("column 1 does not hold text".to_owned()));
        assert_eq!(
            row.get::<i64>(9).map_err(message),
            Err("column 9 does not hold a whole number".to_owned())
        );
    }
}
