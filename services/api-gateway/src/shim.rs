#![allow(missing_docs)]
use chassis::Problem;
use http::HeaderMap;
use runtime::Deadline;
use std::sync::Arc;
use types::*;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anybody,
    Users,
    Operators,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    pub user: UserId,
    pub session: SessionId,
    pub role: Role,
    pub version: i64,
    pub id: uuid::Uuid,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct UserTokens;
impl UserTokens {
    pub async fn check(&self, _: &HeaderMap, _: Deadline) -> Result<Arc<Claims>, Problem> {
        Err(Problem::new(ErrorClass::Unavailable, "x"))
    }
}
pub struct Caller;
impl Caller {
    pub fn must_be_operator(self) -> Result<(), Problem> {
        Ok(())
    }
}
impl From<&Claims> for Caller {
    fn from(_: &Claims) -> Self {
        Caller
    }
}
