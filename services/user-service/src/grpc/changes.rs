//! The messages about what happened to accounts.

use std::str::FromStr as _;

use futures_util::{Stream, stream};
use proto::flotilla::users::v1 as contract;
use proto::flotilla::users::v1::{SettleChangesRequest, WatchChangesResponse};
use tonic::Status;
use types::FieldError;
use uuid::Uuid;

use super::wrong;
use crate::changes::{AccountChange, ChangeKind, Changes, Watch};
use crate::directory::DirectoryError;

/// What `watch` sees. It ends when the changes cannot be read: silence would say that there are none.
pub(super) fn told(watch: Watch) -> impl Stream<Item = Result<WatchChangesResponse, Status>> + Send {
    stream::try_unfold(watch, async |mut watch| {
        let changes = watch.next().await?.iter().map(message).collect();
        Ok(Some((WatchChangesResponse { changes }, watch)))
    })
}

/// The ids of the changes that are settled.
pub(super) fn settled(sent: &SettleChangesRequest) -> Result<Vec<Uuid>, DirectoryError> {
    let most = usize::try_from(Changes::MOST).unwrap_or(usize::MAX);
    let refused = |detail: String| wrong(FieldError::of("ids", detail));
    if sent.ids.len() > most {
        return Err(refused(format!("must be at most {most}")));
    }
    let ids = sent.ids.iter().map(|id| Uuid::from_str(id)).collect::<Result<_, _>>();
    ids.or(Err(refused("must be UUIDs".to_owned())))
}

fn message(change: &AccountChange) -> contract::Change {
    let kind = match change.kind {
        ChangeKind::Password => contract::ChangeKind::Password,
        ChangeKind::Role => contract::ChangeKind::Role,
        ChangeKind::Deleted => contract::ChangeKind::Deleted,
    };
    contract::Change {
        id: change.id.to_string(),
        account_id: change.account.to_string(),
        kind: kind.into(),
        version: change.version,
        kept_session: change.kept_session.map(|kept| kept.to_string()),
    }
}
