//! The service's own binary, as a container starts it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use runtime::{Clock, Deadline};
use secrecy::ExposeSecret as _;
use service_auth::{LocalCa, Pem, SpiffeId};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use types::ServiceName;

/// Longer than anything takes that goes well, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

fn binary(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_user-service"));
    command.env_clear().current_dir(dir).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// With everything it needs, on free ports.
fn complete(dir: &Path) -> Command {
    let ca = LocalCa::open(&dir.join("authority"), &Clock::system()).unwrap();
    let id = SpiffeId::service(ca.trust_domain(), &ServiceName::new("user-service"));
    let Pem { chain, key } = ca.issue(&id, PATIENCE).unwrap();
    for (file, text) in
        [("tls.crt", chain.as_str()), ("tls.key", key.expose_secret()), ("ca.crt", ca.roots_pem())]
    {
        std::fs::write(dir.join(file), text).unwrap();
    }
    let mut command = binary(dir);
    command.envs([("TLS_CERT_FILE", "tls.crt"), ("TLS_KEY_FILE", "tls.key"), ("TLS_CA_FILE", "ca.crt")]);
    command.envs([
        ("DATABASE_URL", "sqlite:users.db"),
        ("SERVICES_STATIC", "auth-service=127.0.0.1"),
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DRAIN_DELAY", "0ms"),
    ]);
    command.envs(["HTTP_PORT", "GRPC_PORT", "ADMIN_PORT"].map(|name| (name, "0")));
    command
}

#[tokio::test]
async fn it_serves_until_a_signal_and_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = complete(dir.path()).spawn().unwrap();
    let mut log = BufReader::new(service.stderr.take().unwrap()).lines();
    let life = async {
        let mut said = String::new();
        while !said.contains("\"serving\"") {
            said = log.next_line().await.unwrap().expect("it serves before it ends");
        }
        let id = service.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
        while log.next_line().await.unwrap().is_some() {}
        service.wait().await.unwrap().code()
    };
    assert_eq!(Deadline::within(PATIENCE).bound(life).await, Ok(Some(0)));
}

#[tokio::test]
async fn an_argument_that_is_no_text_is_refused_like_every_other_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = complete(dir.path());
    service.args([b"--\xff".as_slice(), b"--http-port", b"\xff"].map(OsStr::from_bytes));
    let told = Deadline::within(PATIENCE).bound(service.output()).await.unwrap().unwrap();
    let expected = "\
user-service: 2 settings are wrong:
  \"--\u{FFFD}\": must be text in UTF-8
  \"--http-port\": must be followed by text in UTF-8
";
    assert_eq!((told.status.code(), String::from_utf8_lossy(&told.stderr).as_ref()), (Some(64), expected));
}
