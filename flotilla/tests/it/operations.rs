//! `flotilla operations`, beside a platform that runs.

use std::path::Path;

use tokio::process::Command;

use crate::program::{flotilla, told};
use crate::together::Running;

/// How `flotilla operations` answers in `dir`: the code, then what it says, with the services' addresses by their names.
async fn answer(dir: &Path, running: &Running, words: &[&str]) -> String {
    let words: Vec<&str> = [&["operations"], words].concat();
    running.without_addresses(&answer_of(&mut flotilla(dir, &words)).await)
}

async fn answer_of(command: &mut Command) -> String {
    let (code, stdout, stderr) = told(command).await;
    format!("{}\n{stdout}{stderr}", code.expect("it was not killed"))
}

#[tokio::test]
async fn status_tells_how_every_instance_is() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["status"]).await, @"");
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-service"]).await, @"");
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-services"]).await, @"");
}

#[tokio::test]
async fn a_platform_is_asked_only_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    running.program.kill().await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-service"]).await, @"");
    let running = Running::up(dir.path()).await;
    assert!(answer(dir.path(), &running, &["status"]).await.starts_with("0\n"));
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    insta::assert_snapshot!(answer_of(&mut flotilla(dir.path(), &["operations", "status"])).await, @"");
}

#[tokio::test]
async fn what_is_logged_is_changed_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    let filter = ["log-level", "info,rustls=debug"];
    insta::assert_snapshot!(answer(dir.path(), &running, &filter).await, @"");
    let log = running.program.stderr.with("what is logged has been changed").await;
    assert!(log.contains("caller=spiffe://flotilla.internal/operator"), "{log}");
    // The next connection is talked about, by a library that logs through another crate than we do.
    assert!(answer(dir.path(), &running, &["status"]).await.contains("info,rustls=debug"));
    running.program.stderr.with(" DEBUG rustls::").await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["log-level", "loud"]).await, @"");
}

#[tokio::test]
async fn authz_tells_who_may_call_what() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["authz", "user-service"]).await, @"");
}

#[tokio::test]
async fn nobody_is_asked_without_an_operators_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let status = async |identity: &str| {
        let mut command = flotilla(dir.path(), &["operations", "status", "user-service"]);
        running.without_addresses(&answer_of(command.env("FLOTILLA_IDENTITY_DIR", identity)).await)
    };
    insta::assert_snapshot!(status("nowhere").await, @"");
    for who in ["auth-service", "operator"] {
        let issue = ["issue", who, "--out", who];
        assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
    }
    insta::assert_snapshot!(status("auth-service").await, @"");
    assert!(status("operator").await.starts_with("0\n"));
    let issue = ["issue", "operator", "--out", "stranger", "--data-dir", "elsewhere"];
    assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
    insta::assert_snapshot!(status("stranger").await, @"");
}

#[tokio::test]
async fn instances_are_asked_where_they_are_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::alone(dir.path(), "sqlite:users.db").await;
    let port = running.addrs.grpc.port();
    let ask = async |arguments: &[&str], list: Option<&str>| {
        let mut command = flotilla(dir.path(), &[&["operations", "status"], arguments].concat());
        command.env("FLOTILLA_IDENTITY_DIR", "operator");
        command.envs(list.map(|list| ("SERVICES_STATIC", list)));
        answer_of(&mut command).await.replace(&port.to_string(), "<port>")
    };
    let endpoint = |service: &str, host: &str| format!("{service}={host}:{port}");
    let by_name = ["--endpoint", &endpoint("user-service", "localhost")];
    insta::assert_snapshot!(ask(&by_name, None).await, @"");
    let list = format!("user-service=127.0.0.1:3000:{port}");
    insta::assert_snapshot!(ask(&[], Some(&list)).await, @"");
    // Nobody listens on port 1, which only root could.
    let gone = ["--endpoint", "user-service=127.0.0.1:1"];
    insta::assert_snapshot!(ask(&gone, Some(&list)).await, @"");
    let other = ["--endpoint", &endpoint("auth-service", "127.0.0.1")];
    insta::assert_snapshot!(ask(&other, None).await, @"");
    insta::assert_snapshot!(ask(&["--endpoint", "user-service"], None).await, @"");
    insta::assert_snapshot!(ask(&[], Some("user-service=localhost")).await, @"");
}
