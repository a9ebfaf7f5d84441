use runtime::Deadline;
use tokio::sync::oneshot;

use super::connection::{Connection, read_error};
use crate::row::MOST_ROWS;
use crate::{ReadError, Row, Sql, Value};

/// A query and the caller who waits for it.
pub(crate) struct Read {
    pub(super) sql: Sql,
    pub(super) params: Vec<Value>,
    pub(super) deadline: Deadline,
    pub(super) answer: oneshot::Sender<Result<Vec<Row>, ReadError>>,
}

/// Answers queries, one after the other, until the queue is closed.
pub(super) async fn run_reader(queue: async_channel::Receiver<Read>, connection: Connection) {
    while let Ok(read) = queue.recv().await {
        if read.answer.is_closed() || read.deadline.has_passed() {
            continue;
        }
        let found = connection.find(read.sql, &read.params).map_err(|error| read_error(&error));
        let rows = found.and_then(|rows| rows.ok_or(ReadError::TooManyRows(MOST_ROWS)));
        // Who has gone meanwhile needs no answer.
        drop(read.answer.send(rows));
    }
}
