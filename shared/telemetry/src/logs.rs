//! Logs: one line on stderr for each event, for people or for machines.

mod fields;
mod filter;
mod layer;
mod line;
mod writer;

use std::io;
use std::str::FromStr;

use runtime::Clock;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use self::filter::LogFilter;
use self::layer::LogLayer;
use self::writer::Writer;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For the eye.
    #[default]
    Human,
    /// One JSON object per line, for collectors.
    Json,
}

/// The text is not a log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be human or json")]
pub struct LogFormatError;

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, LogFormatError> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(LogFormatError),
        }
    }
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// A lone word of the filter is no level.
    #[error("`{0}` is no log filter: must be off, error, warn, info, debug, trace or TARGET=LEVEL")]
    Word(String),
    /// The filter's text is wrong in another way.
    #[error("`{filter}` is no log filter")]
    Filter {
        /// The text.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// The operating system gives no thread to write with.
    #[error("starting the log")]
    Thread(#[source] io::Error),
    /// This process logs already.
    #[error("logs can be set up only once in a process")]
    AlreadyInitialised(#[source] TryInitError),
}

/// The process's log, which at its end waits a little until what was logged has been written.
#[derive(Debug)]
pub struct Logs {
    filter: LogFilter,
    writer: Writer,
}

impl Logs {
    /// What is logged when nothing else is asked for.
    pub const DEFAULT_FILTER: &'static str = "info";

    /// Starts to log, once per process. `filter` is a list such as `info,user_service=debug`. Libraries that
    /// talk about every frame stay at warnings unless the filter names them; errors are logged unless it
    /// says otherwise.
    ///
    /// Nobody waits for the log: lines that nobody reads in time are dropped, and how many is told.
    ///
    /// # Errors
    /// [`LogsError`]: the filter is wrong, or there are logs already.
    pub fn init(format: LogFormat, filter: &str) -> Result<Self, LogsError> {
        let filter = LogFilter::new(filter)?;
        let writer = Writer::start(io::stderr(), move |dropped| layer::told_of_dropped(format, dropped));
        let writer = writer.map_err(LogsError::Thread)?;
        let layer = LogLayer::new(format, Clock::system(), writer.sink());
        let subscriber = tracing_subscriber::registry().with(filter.layer()).with(layer);
        subscriber.try_init().map_err(LogsError::AlreadyInitialised)?;
        Ok(Self { filter, writer })
    }

    /// What is logged, for whoever may change it.
    pub fn filter(&self) -> LogFilter {
        self.filter.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_from_its_name() {
        assert_eq!("human".parse(), Ok(LogFormat::Human));
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("JSON".parse::<LogFormat>(), Err(LogFormatError));
    }

    #[test]
    fn a_second_logger_in_a_process_is_refused() {
        let first = Logs::init(LogFormat::Human, "off");
        let second = Logs::init(LogFormat::Human, "off");
        assert!(matches!((first, second), (Ok(_), Err(LogsError::AlreadyInitialised(_)))));
    }
}
