use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;

use chassis::{
    Configure, Failure, Listeners, LogConfig, Platform, RunError, Service, Settings, Signals, Sources,
    VERSION, compute_threads, finish_all,
};
use futures_util::future::join_all;
use runtime::Env;
use telemetry::LogFormat;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::cli::Up;
use crate::data_dir::{DataDir, DataDirError, database_file};
use crate::table::{Row, Table};

const USER_SERVICE: ServiceName = ServiceName::new("user-service");

/// What the environment may say to a service of its own, and `up` decides itself: every engine is embedded,
/// identities come from the local authority, and services that share a process cannot share a port.
const DECIDED: [&str; 17] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
    "DB_NAME",
    "DB_SSLMODE",
    "DB_SSLROOTCERT",
    "BIND_ADDRESS",
    "HTTP_PORT",
    "GRPC_PORT",
    "ADMIN_PORT",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TLS_CA_FILE",
];

/// Why the platform did not start, or ended other than in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error(transparent)]
    Process(#[from] Failure),
}

impl UpError {
    /// What the process answers to whoever started it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Data(_) => Failure::UNAVAILABLE,
            Self::Process(failure) => failure.code(),
        }
    }
}

/// Runs every service in this process until a signal.
pub(crate) fn up(up: &Up) -> Result<(), UpError> {
    let sources = Sources::of_process(up.flags());
    let sources = Sources { vars: sources.vars.without(&DECIDED), ..sources };
    let mut house = Settings::new(ServiceName::new("flotilla"), sources.clone());
    let log = LogConfig::configure_or(LogFormat::Human, &mut house);
    let threads = compute_threads(&mut house);
    let (user_settings, users) = Member::read(USER_SERVICE, &sources, &up.data_dir);
    log.start(&mut house).map_err(Failure::from)?;
    finish_all([house, user_settings]).map_err(Failure::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from)?;
    let result = runtime.block_on(live(&up.data_dir, threads, users));
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

impl<C: Configure> Member<C> {
    fn read(name: ServiceName, sources: &Sources, data_dir: &Path) -> (Settings, Self) {
        let mut database = OsString::from("sqlite:");
        database.push(database_file(data_dir, &name));
        let vars = sources.vars.clone().with("DATABASE_URL", database);
        let mut settings = Settings::new(name.clone(), Sources { vars, ..sources.clone() });
        let listeners = Listeners::local().or(&mut settings);
        let config = C::configure(&mut settings);
        (settings, Self { name, listeners, config })
    }

    fn platform(&self, env: &Env, data: &DataDir) -> Result<Platform, DataDirError> {
        data.keep_private(&self.name)?;
        let identity = data.identity(&self.name)?;
        let trust_domain = data.authority().trust_domain().clone();
        Ok(Platform::new(self.name.clone(), env.with_own_tasks(), identity, trust_domain, self.listeners))
    }
}

async fn live(data_dir: &Path, threads: usize, users: Member<user_service::Config>) -> Result<(), UpError> {
    let signals = Signals::take().map_err(Failure::from)?;
    let env = Env::system(threads);
    let data = DataDir::open(data_dir, &env.clock)?;
    let operator = data.write_operator()?;
    let platform = users.platform(&env, &data)?;
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
    let shutdown = CancellationToken::new();
    let ended = signals.until_done(&shutdown, run_all(vec![users], &shutdown)).await;
    Ok(ended.map_err(Failure::from)?.map_err(Failure::from)?)
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
