//! A service as a process of its own: what it is told, what it answers, how it ends.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::town::Town;

const NAME: &str = "greeting-service";

/// The example, which `cargo test` builds beside the tests.
fn greeting(town: &Town) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().with_file_name("examples").join(NAME);
    assert!(program.exists(), "{} is not built: it comes with `cargo test -p chassis`", program.display());
    let mut command = Command::new(program);
    command.env_clear().current_dir(town.dir.path());
    command
}

/// With everything it needs, on free ports.
fn complete(town: &Town) -> Command {
    let [cert, key, ca] = town.mount(NAME);
    let mut command = greeting(town);
    command.args(["--http-port", "0", "--grpc-port=0", "--bind-address", "127.0.0.1"]);
    command.envs([("TLS_CERT_FILE", cert), ("TLS_KEY_FILE", key), ("TLS_CA_FILE", ca)]);
    command.envs([("GREETING", "hello"), ("ADMIN_PORT", "0"), ("SERVICES_STATIC", "auth-service=127.0.0.1")]);
    command
}

/// The code and the last words of a process that must not come to serve.
fn told(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::start(command);
    let mut all = String::new();
    while process.log.read_line(&mut all).unwrap() > 0 {
        assert!(!all.contains("\"serving\""), "it serves: {all}");
    }
    (process.code(), all)
}

#[tokio::test]
async fn all_that_is_wrong_with_its_settings_is_told_at_once() {
    let town = Town::new();
    std::fs::write(town.dir.path().join("flotilla.toml"), "[greeting-service]\ndrain_delay = \"3\"\n")
        .unwrap();
    let vars = [("HTTP_PORT", "eighty"), ("GRETING", "hello"), ("LOG_LEVEL", "user=loud")];
    let (code, text) = told(greeting(&town).envs(vars));
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn it_explains_itself() {
    let town = Town::new();
    let help = greeting(&town).arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let processors = std::thread::available_parallelism().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    insta::assert_snapshot!(text.replace(&format!("1024 [{processors}]"), "1024 [PROCESSORS]"));
    let version = greeting(&town).arg("--version").output().unwrap();
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(version.stdout, format!("{NAME} {}\n", chassis::VERSION).into_bytes());
}

#[tokio::test]
async fn it_does_not_take_up_somebody_elses_identity() {
    let town = Town::new();
    let mut command = complete(&town);
    town.mount("order-service");
    let (code, text) = told(&mut command);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @"greeting-service: the certificate is made out to spiffe://flotilla.internal/service/order-service, must be to spiffe://flotilla.internal/service/greeting-service");
}

#[tokio::test]
async fn a_taken_port_is_unavailable() {
    let town = Town::new();
    #[expect(clippy::disallowed_methods, reason = "the port is taken from outside the platform")]
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, text) = told(complete(&town).args(["--admin-port", &port]));
    assert_eq!(code, Some(69));
    assert!(text.contains(&format!("listening on 127.0.0.1:{port} (admin)")), "{text}");
}

/// A process and what it says on stderr. It ends with the test at the latest.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    fn serving(command: &mut Command) -> Self {
        let mut process = Self::start(command);
        process.until_it_says("serving");
        process
    }

    fn until_it_says(&mut self, what: &str) {
        let mut all = String::new();
        while !all.contains(&format!("\"{what}\"")) {
            let read = self.log.read_line(&mut all).unwrap();
            assert!(read > 0, "it ended without saying {what}: {all}");
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_a_second_one_at_once() {
    let town = Town::new();
    for signal in ["TERM", "INT"] {
        let mut process = Process::serving(complete(&town).args(["--drain-delay", "0ms"]));
        process.signal(signal);
        assert_eq!(process.code(), Some(0));
    }
    let mut patient = Process::serving(complete(&town).args(["--drain-delay=60s", "--drain-timeout=90s"]));
    patient.signal("TERM");
    patient.until_it_says("draining");
    patient.signal("TERM");
    assert_eq!(patient.code(), Some(130));
}
