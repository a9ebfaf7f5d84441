use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chassis::{Failure, Flags};
use clap::{Args, Parser, Subcommand};
use types::{Email, ServiceName};

use crate::error::Error;
use crate::instances::Target;
use crate::issue::{Workload, issue};
use crate::run::run;
use crate::up::up;
use crate::verbs;

/// The codes of [`Failure`], and who would do what about them.
const EXIT_CODES: &str = "\
Exit codes:
  0    ended in order, by SIGTERM or Ctrl-C
  64   wrong usage or settings; all that is wrong is told at once
  69   a port, a file or a database cannot be had; the same start may succeed later
  70   a fault of the program or a damaged file, or the drain took longer than DRAIN_TIMEOUT
  130  ended at once by a second signal";

/// Of `issue`, which ends when the files are there.
const OF_ISSUE: &str = "\
Exit codes:
  0    done
  64   wrong usage, or an authority that is open to others
  69   a file cannot be had; the same command may succeed later
  70   a fault of the program or a damaged file";

/// What holds for the commands that ask running services.
const OF_VERBS: &str = "\
Asked are the instances that --endpoint names, else those of SERVICES_STATIC, SERVICES_DNS or CONSUL_HOST, else the
`flotilla up` that runs in the data directory. They see the operator's certificate, which is in the directory
that FLOTILLA_IDENTITY_DIR names, else in the directory `operator` of the data directory.

Exit codes:
  0    done
  64   wrong usage or settings, or a service refuses
  69   a service does not answer, or not now; the same command may succeed later
  70   a fault of the program or of a service
  130  ended by Ctrl-C";

/// A microservices platform that starts with one command.
///
/// Without a command it does what `flotilla up` does.
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every service in this one process, with its data in a directory and no engine to install.
    #[command(after_help = EXIT_CODES)]
    Up(Up),
    /// Run one service as a process of its own, with the engines that its settings name.
    #[command(after_help = EXIT_CODES)]
    Run {
        /// The service, then its settings, such as user-service --http-port 3000; `flotilla run SERVICE --help`
        /// lists them.
        // One list, so that a --help after the service is the service's.
        #[arg(value_names = ["SERVICE", "SETTINGS"], required = true, num_args = 1.., trailing_var_arg = true,
              allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Write a certificate of the local authority, with which a service runs as a process of its own.
    #[command(after_help = OF_ISSUE)]
    Issue(Issue),
    /// Ask running services, or tell them something, as the operator.
    #[command(after_help = OF_VERBS)]
    Operations {
        #[command(subcommand)]
        verb: Verb,
        #[command(flatten)]
        reach: Reach,
    },
    /// Say which people's accounts are operators', who see and change what belongs to all.
    #[command(after_help = OF_VERBS)]
    Operators {
        #[command(subcommand)]
        verb: OperatorsVerb,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Who is asked, and where the operator's certificate is.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The gRPC address of an instance, such as user-service=127.0.0.1:50051; may be given several times.
    #[arg(long = "endpoint", value_name = "SERVICE=HOST:PORT", global = true)]
    pub(crate) endpoints: Vec<Target>,
    /// Where the data of `flotilla up` is kept.
    #[arg(long, value_name = "DIR", default_value = "data", global = true)]
    pub(crate) data_dir: PathBuf,
}

/// What operators ask of services.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Tell how every instance is.
    #[command(after_help = OF_VERBS)]
    Status {
        /// Of these services alone.
        #[arg(value_name = "SERVICE")]
        services: Vec<ServiceName>,
    },
    /// Change what every instance logs, until its process ends.
    #[command(after_help = OF_VERBS)]
    LogLevel {
        /// A level, or a list such as info,user_service=debug.
        filter: String,
        /// Of these services alone.
        #[arg(value_name = "SERVICE")]
        services: Vec<ServiceName>,
    },
    /// The keys that sign access tokens.
    #[command(after_help = OF_VERBS)]
    Keys {
        #[command(subcommand)]
        verb: KeysVerb,
    },
    /// Tell who may call what.
    #[command(after_help = OF_VERBS)]
    Authz {
        /// Of these services alone.
        #[arg(value_name = "SERVICE")]
        services: Vec<ServiceName>,
    },
}

/// What operators do with the signing keys.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Make the next key, which takes over once everybody knows it.
    #[command(after_help = OF_VERBS)]
    Rotate,
    /// Tell which keys there are.
    #[command(after_help = OF_VERBS)]
    List,
}

/// What there is to do with operators' accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorsVerb {
    /// Make an operator: of an account that is there, or else of a new one, whose password is read from stdin.
    #[command(after_help = OF_VERBS)]
    Add(AddOperator),
}

/// Who becomes an operator.
#[derive(Debug, Args)]
pub(crate) struct AddOperator {
    /// The e-mail address.
    pub(crate) email: Email,
    /// What a new account's owner is called; else what stands before the @.
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// What `issue` is told.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// Whom the certificate is made out to: a service, or operator.
    #[arg(value_name = "SERVICE")]
    pub(crate) workload: Workload,
    /// Where tls.crt, tls.key and ca.crt are written; it is made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Where the authority is kept, as of `flotilla up`; it is made where it is missing.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
}

/// What `up` is told on the command line. All but where its data and its configuration file are may stand in the
/// environment (`LOG_FORMAT`) and in `flotilla.toml` (`log_format`) too; `--public` is two settings there,
/// `PUBLIC_BIND_ADDRESS` and `PUBLIC_PORT`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where all data is kept; it is made where it is missing.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// Where the public reaches the platform, 127.0.0.1:8080 by default; beyond loopback it wants TLS.
    #[arg(long, value_name = "IP:PORT")]
    public: Option<SocketAddr>,
    /// How the log on stderr looks: human or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged: a level, or a list such as info,user_service=debug.
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// The configuration file, in place of flotilla.toml in the working directory.
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

impl Up {
    /// The settings among them.
    pub(crate) fn flags(&self) -> Flags {
        let public = |part: fn(SocketAddr) -> String| self.public.map(part);
        let flags = [
            ("--public-bind-address", public(|addr| addr.ip().to_string())),
            ("--public-port", public(|addr| addr.port().to_string())),
            ("--log-format", self.log_format.clone()),
            ("--log-level", self.log_level.clone()),
            ("--config", self.config.clone()),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
        Flags::parse(given.flatten())
    }
}

/// Does what the command line says; answers 0, or a code of [`Failure`] with the reason on stderr.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return tell(&told),
    };
    match cli.command {
        None => end(up(&cli.up)),
        Some(Command::Up(asked)) => end(up(&asked)),
        Some(Command::Run { words }) => run(words),
        Some(Command::Issue(asked)) => end(issue(&asked)),
        Some(Command::Operations { verb, reach }) => end(verbs::operations(&verb, &reach)),
        Some(Command::Operators { verb, reach }) => end(verbs::operators(&verb, &reach)),
    }
}

fn end(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nowhere to tell that stderr is gone.
            drop(writeln!(io::stderr(), "{}", chassis::tell("flotilla", &failure)));
            ExitCode::from(failure.code())
        }
    }
}

/// Help and the version are answers; anything else is wrong usage.
fn tell(told: &clap::Error) -> ExitCode {
    // There is nowhere to tell that the terminal is gone.
    drop(told.print());
    if told.use_stderr() { ExitCode::from(Failure::USAGE) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_everything_is_started() {
        let cli = Cli::try_parse_from(["flotilla", "--data-dir", "elsewhere"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.up.data_dir, PathBuf::from("elsewhere"));
    }

    #[test]
    fn a_services_settings_are_handed_on_as_they_are() {
        let cli = Cli::try_parse_from(["flotilla", "run", "user-service", "--http-port", "3000", "--help"])
            .unwrap();
        let Some(Command::Run { words }) = cli.command else { panic!("it is `run`") };
        assert_eq!(words, ["user-service", "--http-port", "3000", "--help"]);
    }
}
