//! `flotilla operators`, and the first of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::processes::free_address;
use crate::program::{flotilla, told_with};
use crate::together::{PASSWORD, Running, up_in};
use crate::visitor::Visitor;

/// How `flotilla operators add` answers in `dir`, to whom `stdin` is given.
async fn add(dir: &Path, words: &[&str], stdin: impl AsRef<[u8]>) -> String {
    let mut command = flotilla(dir, &[&["operators", "add"], words].concat());
    let (code, stdout, stderr) = told_with(&mut command, stdin).await;
    format!("{}\n{stdout}{stderr}", code.expect("it was not killed"))
}

#[tokio::test]
async fn an_operator_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let new = ["Ada@Example.com", "--name", "Ada"];
    let password = format!("{PASSWORD}\n");
    insta::assert_snapshot!(add(dir.path(), &new, &password).await, @r"
    0
    ada@example.com has a new account and is an operator.
    ");
    insta::assert_snapshot!(add(dir.path(), &new, "").await, @r"
    0
    ada@example.com is an operator already.
    ");
    let mut accounts = running.accounts().await;
    let ada = accounts.by_login("ada@example.com", PASSWORD).await.unwrap();
    let user = accounts.get(&ada).await.unwrap();
    assert_eq!((user.name.as_str(), user.role.as_str()), ("Ada", "operator"));
}

#[tokio::test]
async fn a_customer_becomes_an_operator_and_keeps_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let mut accounts = running.accounts().await;
    let ada = accounts.create("ada@example.com").await.unwrap();
    insta::assert_snapshot!(add(dir.path(), &["ada@example.com"], "another password\n").await, @r"
    0
    ada@example.com is an operator now, with the account and the password it has had.
    ");
    assert_eq!(accounts.get(&ada.id).await.unwrap().role, "operator");
    assert_eq!(accounts.by_login("ada@example.com", PASSWORD).await, Some(ada.id));
}

#[tokio::test]
async fn what_cannot_be_an_operators_account_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let _running = Running::up(dir.path()).await;
    insta::assert_snapshot!(add(dir.path(), &["ada"], "").await, @r"
    64
    error: invalid value 'ada' for '<EMAIL>': must be an e-mail address such as ada@example.com

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(add(dir.path(), &["ada@example.com"], "").await, @r"
    64
    flotilla: the password is expected as a line on stdin
    ");
    insta::assert_snapshot!(add(dir.path(), &["ada@example.com"], b"caf\xe9 battery\n").await, @r"
    64
    flotilla: the password must be text in UTF-8
    ");
    insta::assert_snapshot!(add(dir.path(), &["ada@example.com"], "secret\n").await, @r"
    64
    flotilla: the request has wrong fields; password: must be 8 to 128 characters
    ");
    insta::assert_snapshot!(add(dir.path(), &["ada@example.com", "--name", ""], &format!("{PASSWORD}\n")).await, @r"
    64
    flotilla: the request has wrong fields; name: must be 1 to 200 characters without control characters
    ");
}

#[tokio::test]
async fn the_first_start_makes_an_operator_whose_password_is_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let file = dir.path().join("data/operator/password");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = running.first_operator(dir.path()).await.unwrap();
    assert_eq!((first.email.as_str(), first.role.as_str()), ("operator@flotilla.internal", "operator"));
}

#[tokio::test]
async fn nobody_comes_in_before_the_first_operator_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = free_address();
    let mut command = up_in(dir.path());
    command.args(["--public", &gateway.to_string()]);
    let stranger = Visitor::of(gateway);
    let started = Running::started(dir.path(), &mut command);
    let (running, (status, answer)) =
        tokio::join!(started, stranger.register_first("operator@flotilla.internal"));
    assert_eq!(status, 409, "{answer}");
    assert_eq!(running.first_operator(dir.path()).await.unwrap().role, "operator");
}

#[tokio::test]
async fn a_first_operator_that_is_deleted_or_changed_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let first = running.first_operator(dir.path()).await.unwrap();
    running.accounts().await.delete(&first.id).await.unwrap();
    assert_eq!(running.program.code_after("TERM").await, Some(0));

    let running = Running::up(dir.path()).await;
    assert_eq!(running.first_operator(dir.path()).await, None);
    let told = "The first start made operator@flotilla.internal an operator; the password it had then is in ";
    assert!(running.table.contains(told), "{}", running.table);
    assert_eq!(running.program.code_after("TERM").await, Some(0));

    std::fs::remove_dir_all(dir.path().join("data/operator")).unwrap();
    let running = Running::up(dir.path()).await;
    assert!(!dir.path().join("data/operator/password").exists());
    assert!(!running.table.contains("operator@"), "{}", running.table);
}

#[tokio::test]
async fn a_start_that_was_cut_off_is_completed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let first = running.first_operator(dir.path()).await.unwrap();
    running.accounts().await.demote(&first.id).await;
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    // As if it had been cut off after the account was made and before it was an operator's.
    std::fs::remove_file(dir.path().join("data/first-operator")).unwrap();
    let running = Running::up(dir.path()).await;
    assert_eq!(running.first_operator(dir.path()).await, Some(first));
}

#[tokio::test]
async fn nobody_becomes_an_operator_by_having_the_first_ones_address() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let first = running.first_operator(dir.path()).await.unwrap();
    let mut accounts = running.accounts().await;
    accounts.delete(&first.id).await.unwrap();
    let other = accounts.create("operator@flotilla.internal").await.unwrap();
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    std::fs::remove_file(dir.path().join("data/first-operator")).unwrap();
    let mut running = Running::up(dir.path()).await;
    running.program.stderr.with("somebody else has the first operator's address").await;
    assert!(!dir.path().join("data/operator/password").exists());
    assert_eq!(running.accounts().await.get(&other.id).await.unwrap().role, "customer");
}
