use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use chassis::{
    Failure, Listeners, LogConfig, Platform, RunError, Service, Settings, Sources, VERSION, compute_threads,
    finish_all, live, raise_file_limit,
};
use database::SqliteConfig;
use discovery::{Discover, Registry};
use futures_util::future::join_all;
use runtime::Env;
use telemetry::LogFormat;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::cli::Up;
use crate::data_dir::{DataDir, DataDirError, database_file};
use crate::error::Error;
use crate::table::{Row, Table};

const USER_SERVICE: ServiceName = ServiceName::new("user-service");

/// Runs every service in this process until a signal.
pub(crate) fn up(up: &Up) -> Result<(), Error> {
    let sources = Sources::of_process(up.flags()).shared();
    let mut house = Settings::new(ServiceName::new("flotilla"), sources.clone());
    let log = LogConfig::configure_or(LogFormat::Human, &mut house);
    let threads = compute_threads(&mut house);
    let (user_settings, users) =
        Member::read(USER_SERVICE, sources, &up.data_dir, user_service::Config::with_database);
    let _logs = log.start(&mut house).map_err(Failure::from)?;
    finish_all([house, user_settings]).map_err(Failure::from)?;
    raise_file_limit().map_err(Failure::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = start(&up.data_dir, threads, users);
    let serve = async |(_owned, services): (DataDir, Vec<Service>), shutdown: CancellationToken| {
        Ok::<_, Error>(run_all(services, &shutdown).await.map_err(Failure::from)?)
    };
    let result = runtime.block_on(live(start, serve));
    // What still computes has had its time in the drain, and must not hold up the end.
    runtime.shutdown_background();
    result
}

/// A service of the composition and what it was told.
struct Member<C> {
    name: ServiceName,
    listeners: Listeners,
    config: C,
}

impl<C> Member<C> {
    /// Reads the settings that are the service's own; its database is a file in `data_dir`.
    fn read(
        name: ServiceName,
        sources: Sources,
        data_dir: &Path,
        configure: impl FnOnce(database::Config, &mut Settings) -> C,
    ) -> (Settings, Self) {
        let database = database::Config::sqlite(SqliteConfig::at(database_file(data_dir, &name)));
        let mut settings = Settings::new(name.clone(), sources);
        let listeners = Listeners::local().or(&mut settings);
        let config = configure(database, &mut settings);
        (settings, Self { name, listeners, config })
    }

    fn platform(
        &self,
        env: &Env,
        data: &DataDir,
        discovery: &Arc<dyn Discover>,
    ) -> Result<Platform, DataDirError> {
        let identity = data.identity(&self.name)?;
        let trust_domain = data.authority().trust_domain().clone();
        let (env, discovery) = (env.with_own_tasks(), Arc::clone(discovery));
        let platform =
            Platform::new(self.name.clone(), env, identity, trust_domain, self.listeners, discovery);
        Ok(platform.with_renewal(data.renewal()))
    }
}

/// Builds every service and tells where it is.
async fn start(
    data_dir: &Path,
    threads: usize,
    users: Member<user_service::Config>,
) -> Result<(DataDir, Vec<Service>), Error> {
    let env = Env::system(threads);
    let data = DataDir::open(data_dir, &env.clock)?;
    let operator = data.write_operator()?;
    let services: Arc<dyn Discover> = Arc::new(Registry::default());
    let platform = users.platform(&env, &data, &services)?;
    let users = user_service::build(users.config, platform).await.map_err(Failure::from)?;
    let table = Table(vec![Row {
        service: USER_SERVICE.to_string(),
        addrs: users.addrs(),
        database: format!("sqlite:{}", database_file(data_dir, &USER_SERVICE).display()),
    }]);
    // A platform whose terminal is gone serves on.
    drop(writeln!(
        io::stdout(),
        "flotilla {VERSION}\n\n{table}\nThe operator's certificate for mTLS is in {}.\nCtrl-C ends everything in order.",
        operator.display()
    ));
    Ok((data, vec![users]))
}

/// Runs them until `shutdown`. One that ends by itself takes the others along, in order.
async fn run_all(services: Vec<Service>, shutdown: &CancellationToken) -> Result<(), RunError> {
    let runs = services.into_iter().map(|service| async {
        let ended = service.run(shutdown.clone()).await;
        shutdown.cancel();
        ended
    });
    join_all(runs).await.into_iter().collect()
}
