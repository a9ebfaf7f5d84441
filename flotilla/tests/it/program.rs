//! The real program as a child process.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use runtime::{Deadline, Env};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
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
    told_with(command, "").await
}

/// The same of a command that is given `stdin`.
pub(crate) async fn told_with(
    command: &mut Command,
    stdin: impl AsRef<[u8]>,
) -> (Option<i32>, String, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = async {
        let mut child = piped.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // Whoever does not ask does not listen either.
        input.write_all(stdin.as_ref()).await.unwrap_or_default();
        drop(input);
        child.wait_with_output().await.unwrap()
    };
    let output = Deadline::within(PATIENCE).bound(run).await.expect("it does not run on");
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
        Self::start_with(command, Stdio::null())
    }

    pub(crate) fn start_with(command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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
    fn by(mut stream: impl AsyncRead + Send + Unpin + 'static, env: &Env) -> Self {
        let (tell, said) = watch::channel(String::new());
        env.tasks.spawn("listen", async move {
            let mut bytes = Vec::new();
            while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                tell.send_replace(String::from_utf8_lossy(&bytes).into_owned());
            }
        });
        Self(said)
    }

    /// All the lines that it has said, once `what` is in them.
    pub(crate) async fn with(&mut self, what: &str) -> String {
        let said = self.once(|text| lines(text).contains(what)).await;
        lines(&said.unwrap_or_else(|text| panic!("no {what:?} in {text:?}"))).to_owned()
    }

    /// Waits for a question, whose line has no end.
    pub(crate) async fn asks(&mut self, what: &str) {
        let said = self.once(|text| text.ends_with(what)).await;
        said.unwrap_or_else(|text| panic!("no {what:?} at the end of {text:?}"));
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

/// What of the text is lines that have ended.
fn lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}
