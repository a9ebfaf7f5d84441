//! Everything in one process.

mod house;
mod member;
mod together;

use chassis::{Failure, LogConfig, Settings, Sources, compute_threads, finish_all, live, raise_file_limit};
use telemetry::{LogFormat, Logs};
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use self::house::House;
use self::member::{Built, Member};
use crate::cli::Up;
use crate::error::Error;
use crate::run::USER_SERVICE;

/// Runs every service in this process until a signal.
pub(crate) fn up(up: &Up) -> Result<(), Error> {
    let sources = Sources::of_process(up.flags()).shared();
    let mut house = Settings::new(ServiceName::new("flotilla"), sources.clone());
    let log = LogConfig::configure_or(LogFormat::Human, &mut house);
    let threads = compute_threads(&mut house);
    let (user_settings, users) =
        Member::read(USER_SERVICE, &sources, &up.data_dir, user_service::Config::with_database);
    let logs = log.start(&mut house).map_err(Failure::from)?;
    finish_all([house, user_settings]).map_err(Failure::from)?;
    raise_file_limit().map_err(Failure::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = async {
        let house = House::open(&up.data_dir, threads, logs.as_ref().map(Logs::filter))?;
        let members = vec![users.build(&house, user_service::build).await?];
        Ok::<_, Error>((house, members))
    };
    let serve = async |(house, members): (House, Vec<Built>), shutdown: CancellationToken| {
        together::serve(&house, members, &shutdown).await
    };
    let result = runtime.block_on(live(start, serve));
    // What still computes has had its time in the drain, and must not hold up the end.
    runtime.shutdown_background();
    result
}
