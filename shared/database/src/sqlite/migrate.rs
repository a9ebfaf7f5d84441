use std::time::Duration;

use runtime::{Deadline, Env};

use super::PATIENCE;
use super::connection::{Connection, record_error};
use super::writer::begin;
use crate::migration::{APPLIED, Applied, CREATE_RECORD, History, Migration, RECORD, plan};
use crate::{Dialect, OpenError, Value};

/// Applies what is left of the history, in one transaction: another process sees all of it or nothing. Each
/// migration may take as long as `statement`.
pub(super) async fn bring_up(
    connection: &mut Connection,
    env: &Env,
    history: &History<'_>,
    statement: Duration,
) -> Result<(), OpenError> {
    let begun = begin(connection, &env.random, Deadline::within(PATIENCE)).await;
    begun.map_err(|error| OpenError::record(&error))?;
    let applied = apply_all(connection, env, history, statement);
    if connection.lost_its_transaction() {
        // A change that was stopped has taken everything back by itself.
        return applied;
    }
    let end = if applied.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.control(end).map_err(|error| record_error(&error))?;
    applied
}

fn apply_all(
    connection: &Connection,
    env: &Env,
    history: &History<'_>,
    statement: Duration,
) -> Result<(), OpenError> {
    connection.execute_all(CREATE_RECORD, statement).map_err(|error| record_error(&error))?;
    let rows =
        connection.find(APPLIED, &[Value::from(history.component)]).map_err(|error| record_error(&error))?;
    let applied = Applied::from_rows(&rows.unwrap_or_default())?;
    for migration in plan(history.migrations, &applied, Dialect::Sqlite)? {
        let failed = |error: rusqlite::Error| migration.failed(&error);
        connection.execute_all(migration.sqlite, statement).map_err(failed)?;
        let record = migration.record(history.component, Dialect::Sqlite, env.clock.now());
        connection.touch(RECORD, &record).map_err(failed)?;
        let Migration { version, name, .. } = migration;
        tracing::info!(component = history.component, version, name, "applied a migration");
    }
    Ok(())
}
