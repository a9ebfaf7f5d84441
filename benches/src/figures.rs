use std::io::{self, Write as _};
use std::time::Duration;

/// Prints one line of results.
pub(crate) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Passes on what a process says that was not meant for us.
pub(crate) fn pass_on(line: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{line}")
}

/// The middle one; figures of a shared machine scatter too much for a mean.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What 99 of 100 stay under.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
