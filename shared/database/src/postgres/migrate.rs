use std::time::Duration;

use runtime::Env;

use super::connection::{Connection, Connector};
use super::error::text;
use super::pool::{Unanswered, fetch};
use crate::migration::{APPLIED, Applied, CREATE_RECORD, History, Migration, RECORD, plan};
use crate::{Dialect, OpenError, Value};

/// How long to wait for another process that migrates: as long as it may take.
const LOCK: Duration = Duration::from_secs(600);

/// The advisory lock that migrating processes take: any number that nobody else uses in this database.
const TAKE_LOCK: &str = "SELECT pg_advisory_lock(7310868735422031215)";

/// Applies what is left of the histories. The lock goes with the connection, whatever happens.
pub(super) async fn bring_up(
    connector: &Connector,
    env: &Env,
    histories: &[History<'_>],
) -> Result<(), OpenError> {
    let connection = connector.connect(LOCK, connector.timeouts().migration).await;
    let mut connection = connection.map_err(|reason| connector.cannot_open(reason))?;
    let failed = |error: tokio_postgres::Error| OpenError::Record(text(&error));
    connection.client().batch_execute(TAKE_LOCK).await.map_err(failed)?;
    connection.client().batch_execute(CREATE_RECORD).await.map_err(failed)?;
    for history in histories {
        let applied = applied(&mut connection, history).await?;
        for migration in plan(history.migrations, &applied, Dialect::Postgres)? {
            apply(&mut connection, env, history, migration).await?;
            let Migration { version, name, .. } = migration;
            tracing::info!(component = history.component, version, name, "applied a migration");
        }
    }
    Ok(())
}

async fn applied(connection: &mut Connection, history: &History<'_>) -> Result<Vec<Applied>, OpenError> {
    let rows = fetch(connection, APPLIED, &[Value::from(history.component)]).await;
    let rows = rows.map_err(|unanswered| match unanswered {
        Unanswered::Driver(error) => OpenError::Record(text(&error)),
        Unanswered::Misfit(reason) => OpenError::Record(reason),
        Unanswered::TooManyRows => OpenError::Record("there are too many".to_owned()),
    })?;
    Applied::from_rows(&rows)
}

/// The migration and its record in one transaction.
async fn apply(
    connection: &mut Connection,
    env: &Env,
    history: &History<'_>,
    migration: &Migration,
) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| migration.failed(&text(&error));
    let record = migration.record(history.component, Dialect::Postgres, env.clock.now());
    connection.client().batch_execute("BEGIN").await.map_err(failed)?;
    connection.client().batch_execute(migration.postgres).await.map_err(failed)?;
    let statement = connection.prepare(RECORD, None).await.map_err(failed)?;
    connection.client().execute_raw(&statement, &record).await.map_err(failed)?;
    connection.client().batch_execute("COMMIT").await.map_err(failed)
}
