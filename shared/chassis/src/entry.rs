//! A service as a process of its own.

use std::error::Error;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write as _};
use std::process::ExitCode;

use runtime::Env;
use service_auth::{Identity, SpiffeId};
use telemetry::{Logs, LogsError};
use types::ServiceName;

use crate::{
    ConfigFile, Configure, Flags, IdentityFiles, Impatient, Platform, ProcessConfig, Renewal, RunError,
    Service, SettingErrors, Settings, Sources, StartError, VERSION, live, raise_file_limit,
};

/// Why a process ended other than in order.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was told something wrong.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It ran and ended with a fault.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Somebody could not wait.
    #[error(transparent)]
    Impatient(#[from] Impatient),
    /// It has no log.
    #[error("starting the log")]
    Logs(#[from] LogsError),
    /// The operating system gave no threads, or not the signals.
    #[error("starting the process")]
    Process(#[from] io::Error),
}

impl Failure {
    /// Wrong usage or configuration (`EX_USAGE` of sysexits.h).
    pub const USAGE: u8 = 64;
    /// Something outside is not there, and may be later (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: u8 = 69;
    /// A fault of ours (`EX_SOFTWARE`).
    pub const SOFTWARE: u8 = 70;
    /// Ended by a signal, as shells count it (128 + SIGINT).
    pub const SIGNAL: u8 = 130;

    /// What the process answers to whoever started it.
    pub fn code(&self) -> u8 {
        match self {
            Self::Settings(_)
            | Self::Start(
                StartError::Identity(_)
                | StartError::OtherIdentity { .. }
                | StartError::PublicCertificate(_)
                | StartError::Discovery(_),
            ) => Self::USAGE,
            Self::Start(error) if error.is_unavailable() => Self::UNAVAILABLE,
            Self::Process(_) => Self::UNAVAILABLE,
            Self::Impatient(_) => Self::SIGNAL,
            Self::Start(_) | Self::Run(_) | Self::Logs(_) => Self::SOFTWARE,
        }
    }
}

/// The failure of `program` in words for stderr, each cause once.
pub fn tell(program: &str, failure: &dyn Error) -> String {
    let mut text = format!("{program}: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Runs the service `name` as a process of its own, with the settings that its command line gives.
pub fn main<C, F>(name: &'static str, build: impl FnOnce(C, Platform) -> F) -> ExitCode
where
    C: Configure,
    F: Future<Output = Result<Service, StartError>>,
{
    run(name, std::env::args_os().skip(1), build)
}

/// Runs the service `name` as a process of its own: reads its settings, of which `arguments` win over the
/// environment, starts it with `build`, serves until a signal and drains. It answers 0, or a code of
/// [`Failure`] with the reason on stderr.
pub fn run<C, F>(
    name: &'static str,
    arguments: impl IntoIterator<Item = OsString>,
    build: impl FnOnce(C, Platform) -> F,
) -> ExitCode
where
    C: Configure,
    F: Future<Output = Result<Service, StartError>>,
{
    let service = ServiceName::new(name);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let asks =
        |long: &str, short: &str| arguments.iter().any(|argument| argument == long || argument == short);
    if asks("--help", "-h") {
        return print(&help::<C>(&service));
    }
    if asks("--version", "-V") {
        return print(&format!("{name} {VERSION}\n"));
    }
    match start(service, Flags::parse(arguments), build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nowhere to tell that stderr is gone.
            drop(writeln!(io::stderr(), "{}", tell(name, &failure)));
            ExitCode::from(failure.code())
        }
    }
}

fn start<C, F>(
    service: ServiceName,
    flags: Flags,
    build: impl FnOnce(C, Platform) -> F,
) -> Result<(), Failure>
where
    C: Configure,
    F: Future<Output = Result<Service, StartError>>,
{
    let mut settings = Settings::new(service.clone(), Sources::of_process(flags));
    let process = ProcessConfig::configure(&mut settings);
    let config = C::configure(&mut settings);
    let logs = process.log.start(&mut settings)?;
    settings.finish()?;
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let log_filter = logs.as_ref().map(Logs::filter);
    let start = async {
        let platform = process.platform(service)?.with_log_filter(log_filter);
        Ok::<_, Failure>(build(config, platform).await?)
    };
    let serve = async |service: Service, shutdown| Ok(service.run(shutdown).await?);
    let result = runtime.block_on(live(start, serve));
    // What still computes has had its time in the drain, and must not hold up the end.
    runtime.shutdown_background();
    result
}

impl ProcessConfig {
    fn platform(self, service: ServiceName) -> Result<Platform, StartError> {
        let env = Env::system(self.compute_threads);
        let IdentityFiles { cert, key, ca, trust_domain } = self.identity;
        let identity = Identity::load(&cert, &key, &ca, &env.clock)?;
        let (mounted, expected) = (identity.id(), SpiffeId::service(&trust_domain, &service));
        if mounted != expected {
            return Err(StartError::OtherIdentity { mounted, expected });
        }
        let renewal = Renewal::new(move |identity| identity.reload(&cert, &key, &ca));
        let discovery = self.discovery.open(&env)?;
        let platform = Platform::new(service, env, identity, trust_domain, self.listeners, discovery);
        Ok(platform.with_callees(self.callees).with_issuer(self.issuer).with_renewal(renewal))
    }
}

fn help<C: Configure>(service: &ServiceName) -> String {
    let mut settings = Settings::new(service.clone(), Sources::default());
    ProcessConfig::configure(&mut settings);
    C::configure(&mut settings);
    format!(
        "{service} {VERSION}\n\n\
         Usage: {service} [--config FILE] [--SETTING VALUE]...\n\n\
         A setting is read from a flag (--http-port), else from the environment (HTTP_PORT), else from the\n\
         section [{service}] of {file}, else from its top level (http_port).\n\n{settings}",
        file = ConfigFile::NAME,
        settings = settings.describe(),
    )
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(Failure::UNAVAILABLE),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::Fault;

    use super::*;

    #[test]
    fn a_failure_is_told_with_its_causes_and_by_its_code() {
        let addr = "127.0.0.1:9000".parse().unwrap();
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        let listen = StartError::Listen { listener: "admin", addr, source: taken };
        let fault = RunError::Fault(Fault { task: "relay", message: "out of tea".to_owned() });
        let what = vec!["connections (2)".to_owned(), "relay".to_owned()];
        let cases = [
            (Failure::Settings(SettingErrors(Vec::new())), 64),
            (Failure::Start(listen), 69),
            (Failure::Start(StartError::Other("no tea".into())), 70),
            (Failure::Run(fault), 70),
            (Failure::Run(RunError::Cut { within: Duration::from_secs(25), what }), 70),
            (Failure::Process(io::Error::other("no threads")), 69),
            (Failure::Impatient(Impatient), 130),
        ];
        let told = cases.map(|(failure, code)| {
            assert_eq!(failure.code(), code, "{failure}");
            tell("shop", &failure)
        });
        insta::assert_snapshot!(told[1..].join("\n"), @r#"
        shop: listening on 127.0.0.1:9000 (admin): address in use
        shop: no tea
        shop: task relay panicked: out of tea
        shop: 25s were not enough to drain: connections (2), relay cut off
        shop: starting the process: no threads
        shop: ended at once by a second signal, without finishing what was in flight
        "#);
    }
}
