use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Result, ensure};

/// What a figure must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn is_kept_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// Tells figures with their limits, and remembers which were missed.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    missed: Vec<String>,
}

impl Limits {
    /// Prints a line that ends with `figure`, in the words of `told`, and its limit.
    pub(crate) fn say(&mut self, told: &str, figure: f64, limit: Limit) -> io::Result<()> {
        let line = format!("{told} ({limit})");
        let is_kept = limit.is_kept_by(figure);
        say(&format!("{line}: {}", if is_kept { "PASS" } else { "FAIL" }))?;
        if !is_kept {
            self.missed.push(line);
        }
        Ok(())
    }

    /// # Errors
    /// A limit was missed.
    pub(crate) fn kept(self) -> Result<()> {
        ensure!(self.missed.is_empty(), "missed: {}", self.missed.join("; "));
        Ok(())
    }
}

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
