//! It works again from the same directory after any kind of end.

use std::path::Path;

use runtime::Deadline;

use crate::program::{PATIENCE, Program};
use crate::together::{LAST_LINE, Running, up_in};

#[tokio::test]
async fn an_account_is_there_after_any_kind_of_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let mut made = vec![running.accounts().await.create("first@example.com").await.unwrap()];
    let mut program = running.program;
    for signal in ["TERM", "INT", "KILL"] {
        program.signal(signal).await;
        let code = (signal != "KILL").then_some(0);
        assert_eq!(program.ends().await.code(), code, "{signal}");
        let running = Running::up(dir.path()).await;
        let mut accounts = running.accounts().await;
        for user in &made {
            assert_eq!(accounts.get(&user.id).await.unwrap(), *user, "after {signal}");
        }
        made.push(accounts.create(&format!("{signal}@example.com")).await.unwrap());
        program = running.program;
    }
}

#[tokio::test]
async fn nobody_ends_who_is_still_called() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    running.program.signal("TERM").await;
    assert_eq!(running.program.ends().await.code(), Some(0));
    let log = running.program.stderr.whole().await;
    let of_the_end = log.lines().filter(|line| line.ends_with(": draining") || line.ends_with(": drained"));
    let of_the_end = of_the_end.map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" "));
    insta::assert_snapshot!(of_the_end.collect::<Vec<_>>().join("\n"), @r"
    api-gateway chassis::service: draining
    api-gateway chassis::service: drained
    auth-service chassis::service: draining
    auth-service chassis::service: drained
    user-service chassis::service: draining
    user-service chassis::service: drained
    ");
}

/// What the first start has made when it is killed. In between are the moments when these are half made.
const MOMENTS: [&str; 13] = [
    "",
    "lock",
    "authority/authority.lock",
    "authority/authority.pem",
    "signing-key-secret",
    "auth-service.db",
    "operator",
    "operator/key.pem",
    "user-service.db",
    "user-service.db-wal",
    "operator/password",
    "first-operator",
    "instances",
];

#[tokio::test]
async fn a_first_start_that_is_killed_half_way_does_no_harm() {
    for moment in MOMENTS {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Program::start(&mut up_in(dir.path()));
        until_there(&dir.path().join("data").join(moment), &mut first).await;
        first.kill().await;
        let running = Running::up(dir.path()).await;
        let made = running.accounts().await.create("ada@example.com").await;
        let when = format!("after a start that was killed when there was {moment:?}");
        assert!(made.is_ok(), "{when}: {made:?}");
        let operator = running.first_operator(dir.path()).await;
        assert_eq!(operator.map(|user| user.role).as_deref(), Some("operator"), "{when}");
        assert_eq!(running.program.code_after("TERM").await, Some(0));
    }
}

/// Waits for the file, looking as often as can be: what is to be met lasts for less than a millisecond.
async fn until_there(file: &Path, program: &mut Program) {
    let look = async {
        while !file.exists() {
            assert!(!program.has_ended(), "it ended without making {}", file.display());
            tokio::task::yield_now().await;
        }
    };
    let found = Deadline::within(PATIENCE).bound(look).await;
    assert!(found.is_ok(), "{} is never made", file.display());
}

#[tokio::test]
async fn a_signal_during_the_start_ends_it_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut starting = Program::start(&mut up_in(dir.path()));
    // From here on signals are taken.
    until_there(&dir.path().join("data/lock"), &mut starting).await;
    assert_eq!(starting.code_after("TERM").await, Some(0));
    let mut again = Program::start(&mut up_in(dir.path()));
    again.stdout.with(LAST_LINE).await;
    assert_eq!(again.code_after("TERM").await, Some(0));
}
