//! `up` brings all it needs.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::processes::free_address;
use crate::program::{Program, flotilla, told};
use crate::together::{FREE, Running, up_in};
use crate::visitor::Visitor;

#[tokio::test]
async fn a_fresh_directory_is_all_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::started(dir.path(), flotilla(dir.path(), &[]).envs(FREE)).await;
    assert!(running.addrs.http.ip().is_loopback() && running.addrs.grpc.ip().is_loopback());
    let table = running.without_addresses(&running.table);
    insta::assert_snapshot!(table, @r#"
    flotilla 0.1.0

    SERVICE  HTTP (mTLS)  GRPC (mTLS)  ADMIN  DATABASE
    api-gateway  public  <api-gateway grpc>  <api-gateway admin>  none
    auth-service  <auth-service http>  <auth-service grpc>  <auth-service admin>  sqlite:data/auth-service.db
    user-service  <user-service http>  <user-service grpc>  <user-service admin>  sqlite:data/user-service.db

    The platform is at http://<api-gateway http>. The first thing to try:

    curl http://<api-gateway http>/auth/register -H 'content-type: application/json' \
    -d '{"email":"ada@example.com","name":"Ada","password":"correct horse battery"}'

    The first start made operator@flotilla.internal an operator; the password it had then is in data/operator/password.
    The operator's certificate for mTLS is in data/operator.
    Ctrl-C ends everything in order.
    "#);
    assert_eq!(running.program.code_after("INT").await, Some(0));
}

#[tokio::test]
async fn what_it_keeps_is_its_owners_alone_even_in_a_directory_that_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let running = Running::up(dir.path()).await;
    running.accounts().await.create("ada@example.com").await.unwrap();
    let secret = [
        "user-service.db",
        "user-service.db-wal",
        "auth-service.db",
        "auth-service.db-wal",
        "signing-key-secret",
        "authority/authority.pem",
        "operator/key.pem",
        "operator/password",
        "first-operator",
        "instances",
    ];
    for file in secret {
        let mode = std::fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn one_platform_at_a_time_owns_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::up(dir.path()).await;
    let (code, table, text) = told(&mut up_in(dir.path())).await;
    assert_eq!((code, table.as_str()), (Some(69), ""));
    insta::assert_snapshot!(text, @"flotilla: data is in use by another flotilla; stop it, or name another directory with --data-dir");
    assert!(first.accounts().await.create("ada@example.com").await.is_ok(), "the first one serves on");
    let elsewhere = dir.path().join("elsewhere");
    let mut second = up_in(dir.path());
    second.arg("--data-dir").arg(&elsewhere);
    let second = Running::started(dir.path(), &mut second).await;
    assert_eq!(second.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), "a file").unwrap();
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(69));
    insta::assert_snapshot!(text, @"flotilla: making the data directory data: File exists (os error 17)");
}

#[tokio::test]
async fn a_data_directory_may_have_a_name_that_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join(OsStr::from_bytes(b"da\xffta"));
    let mut command = up_in(dir.path());
    let mut program = Program::start(command.arg("--data-dir").arg(&data));
    program.stderr.with("serving").await;
    assert!(data.join("user-service.db").exists());
    assert_eq!(program.code_after("TERM").await, Some(0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_directory_above_one_that_is_there_is_none_of_its_business() {
    let dir = tempfile::tempdir().unwrap();
    // By this path the directory above is one that nothing can be kept in, even for root.
    let mut program = Program::start(up_in(dir.path()).args(["--data-dir", "/proc/self/cwd"]));
    program.stderr.with("serving").await;
    assert_eq!(program.code_after("TERM").await, Some(0));
    assert!(dir.path().join("user-service.db").exists());
}

#[tokio::test]
async fn an_authority_that_is_damaged_or_open_to_others_is_nothing_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Running::up(dir.path()).await.program.code_after("TERM").await, Some(0));
    let authority = dir.path().join("data/authority/authority.pem");
    std::fs::set_permissions(&authority, Permissions::from_mode(0o644)).unwrap();
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(64));
    assert!(text.contains("data/authority/authority.pem is open to others (mode 644)"), "{text}");
    std::fs::set_permissions(&authority, Permissions::from_mode(0o600)).unwrap();
    for damage in [b"nothing".as_slice(), b"\xff"] {
        std::fs::write(&authority, damage).unwrap();
        let (code, _, text) = told(&mut up_in(dir.path())).await;
        assert_eq!(code, Some(70), "{text}");
        assert!(text.contains("data/authority/authority.pem"), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_is_lost_or_open_to_others_is_nothing_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Running::up(dir.path()).await.program.code_after("TERM").await, Some(0));
    let secret = dir.path().join("data/signing-key-secret");
    std::fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @"flotilla: data/signing-key-secret is open to others (mode 640): it must be closed to them (chmod 600)");
    std::fs::remove_file(&secret).unwrap();
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(70));
    insta::assert_snapshot!(text, @"flotilla: data/signing-key-secret is missing, without which the keys in data/auth-service.db cannot be opened");
}

#[tokio::test]
async fn a_secret_that_is_damaged_is_nothing_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Running::up(dir.path()).await.program.code_after("TERM").await, Some(0));
    let data = dir.path().join("data");
    // As if the start had been cut off when it had a password alone.
    std::fs::remove_file(data.join("first-operator")).unwrap();
    for name in ["operator/password", "signing-key-secret"] {
        std::fs::write(data.join(name), b"\xff").unwrap();
        let (code, _, text) = told(&mut up_in(dir.path())).await;
        assert_eq!(code, Some(70), "{text}");
        assert_eq!(text.lines().last(), Some(format!("flotilla: data/{name} is damaged").as_str()));
    }
}

#[tokio::test]
async fn it_serves_on_when_nobody_reads_its_table() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = free_address();
    let mut command = up_in(dir.path());
    command.args(["--public", &gateway.to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    // It opens when the table is written.
    let visitor = Visitor::of(gateway);
    tokio::select! {
        (status, answer) = visitor.register_first("ada@example.com") => assert_eq!(status, 201, "{answer}"),
        ended = child.wait() => panic!("it has ended: {ended:?}"),
    }
}

#[tokio::test]
async fn its_log_is_for_people_or_one_object_of_json_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut logs = Vec::new();
    for format in ["human", "json"] {
        let mut command = flotilla(dir.path(), &["--log-format", format]);
        let mut program = Running::started(dir.path(), command.envs(FREE)).await.program;
        program.signal("TERM").await;
        assert_eq!(program.ends().await.code(), Some(0));
        logs.push(program.stderr.whole().await);
    }
    let objects: Vec<serde_json::Value> =
        logs[1].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| objects.iter().any(|line| line["message"] == message);
    assert!(["serving", "shutting down", "draining", "drained"].into_iter().all(said), "{}", logs[1]);
    assert!(logs[0].lines().all(|line| line.contains(" INFO ")), "{}", logs[0]);
}
