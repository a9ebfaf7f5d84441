use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chassis::{Failure, Flags};
use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::issue::{Workload, issue};
use crate::run::run;
use crate::up::up;

/// The codes of [`Failure`], and who would do what about them.
const EXIT_CODES: &str = "\
Exit codes:
  0    ended in order, by SIGTERM or Ctrl-C
  64   wrong usage or settings; all that is wrong is told at once
  69   a port, a file or a database cannot be had; the same start may succeed later
  70   a fault of the program or a damaged file, or the drain took longer than DRAIN_TIMEOUT
  130  ended at once by a second signal";

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
    #[command(after_help = EXIT_CODES)]
    Issue(Issue),
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

/// What `up` is told on the command line. Each but the first is a setting that the environment (`LOG_FORMAT`)
/// and `flotilla.toml` (`log_format`) may give too.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where all data is kept; it is made where it is missing.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
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
        let flags = [
            ("--log-format", &self.log_format),
            ("--log-level", &self.log_level),
            ("--config", &self.config),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value.clone()?]));
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
