//! The real program as a child process.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use runtime::{Deadline, Env};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longer than anything takes that goes well, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program with `arguments` in `dir`, and with nothing in its environment.
pub(crate) fn flotilla(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    command.args(arguments).current_dir(dir).env_clear().kill_on_drop(true);
    command
}

/// How a command ended that does not run on, and what it said on stdout and on stderr.
pub(crate) async fn told(command: &mut Command) -> (Option<i32>, String, String) {
    let output = Deadline::within(PATIENCE).bound(command.stdin(Stdio::null()).output()).await;
    let output = output.expect("it does not run on").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A program that runs.
pub(crate) struct Program {
    pub(crate) env: Env,
    pub(crate) stdout: Said,
    pub(crate) stderr: Said,
    child: Child,
}

/// What a program has said so far.
pub(crate) struct Said(watch::Receiver<String>);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let env = Env::system(1);
        let stdout = Said::by(child.stdout.take().unwrap(), &env);
        let stderr = Said::by(child.stderr.take().unwrap(), &env);
        Self { env, stdout, stderr, child }
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// How it ends, without being told to.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        let ended = Deadline::within(PATIENCE).bound(self.child.wait()).await;
        ended.expect("it ends").unwrap()
    }

    /// The code it ends with after the signal.
    pub(crate) async fn code_after(mut self, signal: &str) -> Option<i32> {
        self.signal(signal).await;
        self.ends().await.code()
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Said {
    fn by(stream: impl AsyncRead + Send + Unpin + 'static, env: &Env) -> Self {
        let (tell, said) = watch::channel(String::new());
        env.tasks.spawn("listen", async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|text| *text = format!("{text}{line}\n"));
            }
        });
        Self(said)
    }

    /// All that it has said, once it has said `what`.
    pub(crate) async fn with(&mut self, what: &str) -> String {
        self.once(|text| text.contains(what)).await.unwrap_or_else(|text| panic!("no {what:?} in {text:?}"))
    }

    /// All that it says until it ends.
    pub(crate) async fn whole(&mut self) -> String {
        self.once(|_| false).await.unwrap_err()
    }

    /// What it has said when `is_enough`, or else to its end.
    async fn once(&mut self, mut is_enough: impl FnMut(&str) -> bool) -> Result<String, String> {
        let waited = Deadline::within(PATIENCE).bound(self.0.wait_for(|text| is_enough(text))).await;
        let enough = waited.is_ok_and(|said| said.is_ok());
        let text = self.0.borrow().clone();
        if enough { Ok(text) } else { Err(text) }
    }
}
