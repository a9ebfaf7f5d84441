//! Everything in one process.

mod house;
mod member;
mod plan;
mod together;
mod welcome;

use chassis::{
    Failure, LogConfig, Settings, Sources, compute_threads, finish_all, issuer, live, outbound_config,
    raise_file_limit,
};
use telemetry::{LogFormat, Logs};
use types::ServiceName;

use self::house::{House, Manners};
use self::plan::Plan;
use self::together::Together;
use crate::cli::Up;
use crate::error::Error;

/// Runs every service in this process until a signal.
pub(crate) fn up(up: &Up) -> Result<(), Error> {
    let sources = Sources::of_process(up.flags()).shared();
    let mut house = Settings::new(ServiceName::new("flotilla"), sources.clone());
    let log = LogConfig::configure_or(LogFormat::Human, &mut house);
    let (threads, issuer) = (compute_threads(&mut house), issuer(&mut house));
    let callees = outbound_config(&mut house);
    let (settings, plan) = Plan::read(&sources, &up.data_dir);
    let logs = log.start(&mut house).map_err(Failure::from)?;
    finish_all([house].into_iter().chain(settings)).map_err(Failure::from)?;
    raise_file_limit().map_err(Failure::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let log_filter = logs.as_ref().map(Logs::filter);
    let start = async {
        plan.build(House::open(&up.data_dir, threads, Manners { issuer, callees, log_filter })?).await
    };
    let result = runtime.block_on(live(start, Together::serve));
    // What still computes has had its time in the drain, and must not hold up the end.
    runtime.shutdown_background();
    result
}
