//! A process that is measured.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use runtime::Env;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::figures::pass_on;

/// What `/proc` counts processor time in: `USER_HZ`, which is 100 on all that we run on.
const TICK: Duration = Duration::from_millis(10);
/// Where user time stands in `/proc/PID/stat` behind the name, which may hold anything; system time follows.
const USER_TIME: usize = 11;

type Output = Box<dyn AsyncRead + Send + Unpin>;

pub(crate) struct Process {
    child: Child,
    id: u32,
}

impl Process {
    /// Starts `command` and waits for what `find` reads from a line of the output that it pipes. What else is in
    /// its log is passed on.
    pub(crate) async fn start<T>(
        env: &Env,
        mut command: Command,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T)> {
        let mut child = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        let id = child.id().context("it has just been started")?;
        let log = child.stderr.take().map(|log| Box::new(log) as Output);
        let pass_on = if log.is_some() { pass_on } else { |_: &str| Ok(()) };
        let told = child.stdout.take().map(|told| Box::new(told) as Output);
        let mut lines = BufReader::new(log.or(told).context("the command pipes no output")?).lines();
        let found = loop {
            let Some(line) = lines.next_line().await? else { bail!("{command:?} ended before it was ready") };
            match find(&line) {
                Some(found) => break found,
                None => pass_on(&line)?,
            }
        };
        env.tasks.spawn("output", async move {
            // Read to its end, or the process would wait for us when the pipe is full.
            while let Ok(Some(line)) = lines.next_line().await {
                drop(pass_on(&line));
            }
        });
        Ok((Self { child, id }, found))
    }

    /// Starts `command`, whose output goes where it says.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        let id = child.id().context("it has just been started")?;
        Ok(Self { child, id })
    }

    /// The processor time that it has had.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(&self.id.to_string())
    }

    /// Its memory that is in RAM, in MB.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib = line.split_whitespace().next().context("no VmRSS")?;
        Ok(kib.parse::<f64>()? * 1_024.0 / 1e6)
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends it the signal of that `name`, such as `STOP`.
    pub(crate) async fn signal(&self, name: &str) -> Result<()> {
        let told = Command::new("kill").args(["-s", name, &self.id.to_string()]).status().await?;
        ensure!(told.success(), "process {} cannot be sent {name}", self.id);
        Ok(())
    }

    /// Ends it as an operator does.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.signal("TERM").await?;
        let ended = self.child.wait().await?;
        ensure!(ended.success(), "process {} ended with {ended}", self.id);
        Ok(())
    }
}

/// The processor time that this program has had.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu("self")
}

fn cpu(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, behind_name) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let times = behind_name.split_whitespace().skip(USER_TIME).take(2);
    let ticks = times.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
