use runtime::{Deadline, Random};
use tokio::sync::oneshot;

use super::connection::{BUSY_PAUSE, Connection, is_busy, read_error};
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
pub(super) async fn run_reader(
    queue: async_channel::Receiver<Read>,
    mut connection: Connection,
    random: Random,
) {
    while let Ok(read) = queue.recv().await {
        if read.answer.is_closed() || read.deadline.has_passed() {
            continue;
        }
        let rows = find(&mut connection, &random, &read).await;
        // Who has gone meanwhile needs no answer.
        drop(read.answer.send(rows));
    }
}

/// Readers wait for nobody, except while another process recovers the log of one that was killed.
async fn find(connection: &mut Connection, random: &Random, read: &Read) -> Result<Vec<Row>, ReadError> {
    loop {
        match connection.find(read.sql, &read.params) {
            Ok(rows) => return rows.ok_or(ReadError::TooManyRows(MOST_ROWS)),
            Err(error) if !is_busy(&error) || read.deadline.has_passed() => return Err(read_error(&error)),
            Err(_) => tokio::time::sleep(random.jitter(BUSY_PAUSE)).await,
        }
    }
}
