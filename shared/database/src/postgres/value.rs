use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::Value;

impl Value {
    /// Whether a parameter or column of type `ty` can hold it.
    pub(super) fn fits(&self, ty: &Type) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) => *ty == Type::BOOL,
            Self::Int(it) => match *ty {
                Type::INT8 => true,
                Type::INT4 => i32::try_from(*it).is_ok(),
                Type::INT2 => i16::try_from(*it).is_ok(),
                _ => false,
            },
            Self::Text(_) => matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME),
            Self::Bytes(_) => *ty == Type::BYTEA,
            Self::Uuid(_) => *ty == Type::UUID,
        }
    }

    /// What it is, for an error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Uuid(_) => "a UUID",
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(it) => it.to_sql(ty, out),
            Self::Int(it) => match *ty {
                Type::INT4 => i32::try_from(*it)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*it)?.to_sql(ty, out),
                _ => it.to_sql(ty, out),
            },
            Self::Text(it) => it.to_sql(ty, out),
            Self::Bytes(it) => it.to_sql(ty, out),
            Self::Uuid(it) => it.to_sql(ty, out),
        }
    }

    // Which types are right depends on the value, which is what `fits` asks before anything is sent.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *ty {
            Type::BOOL => Self::Bool(bool::from_sql(ty, raw)?),
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Bytes(raw.to_owned()),
            Type::UUID => Self::Uuid(Uuid::from_sql(ty, raw)?),
            Type::VOID => Self::Null,
            _ => Self::Text(String::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::BOOL | Type::INT8 | Type::INT4 | Type::INT2 | Type::BYTEA | Type::UUID | Type::VOID
        ) || <String as FromSql<'_>>::accepts(ty)
    }
}
