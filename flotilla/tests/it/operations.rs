//! `flotilla operations`, beside a platform that runs.

use std::path::Path;

use tokio::process::Command;
use types::Timestamp;

use crate::program::{flotilla, told};
use crate::together::{Running, without_alignment};

/// A SHA-256 in base64url, which keys are named by.
const THUMBPRINT: usize = 43;

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
    insta::assert_snapshot!(answer(dir.path(), &running, &["status"]).await, @r"
    0
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    api-gateway  <api-gateway grpc>  ok  0.1.0  info  services ok
    auth-service  <auth-service grpc>  ok  0.1.0  info  database ok, signing-keys ok
    user-service  <user-service grpc>  ok  0.1.0  info  database ok

    CALLER  CALLEE  OVER  PATH  TIMEOUT  ATTEMPTS  AT ONCE  WAITING  BREAKER  KEYED  INSTANCES
    api-gateway <api-gateway grpc>  auth-service  grpc  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service grpc> closed 0
    api-gateway <api-gateway grpc>  user-service  grpc  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <user-service grpc> closed 0
    api-gateway <api-gateway grpc>  auth-service  http  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service http> closed 0
    api-gateway <api-gateway grpc>  auth-service  http  /.well-known  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service http> closed 0
    api-gateway <api-gateway grpc>  auth-service  http  /auth  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service http> closed 0
    api-gateway <api-gateway grpc>  auth-service  http  /auth/password  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service http> closed 0
    api-gateway <api-gateway grpc>  auth-service  http  /auth/sessions  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service http> closed 0
    api-gateway <api-gateway grpc>  user-service  http  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <user-service http> closed 0
    api-gateway <api-gateway grpc>  user-service  http  /users  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <user-service http> closed 0
    auth-service <auth-service grpc>  user-service  grpc  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <user-service grpc> closed 0
    user-service <user-service grpc>  auth-service  grpc  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service grpc> closed 0
    ");
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-service"]).await, @r"
    0
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  <user-service grpc>  ok  0.1.0  info  database ok

    CALLER  CALLEE  OVER  PATH  TIMEOUT  ATTEMPTS  AT ONCE  WAITING  BREAKER  KEYED  INSTANCES
    user-service <user-service grpc>  auth-service  grpc  *  caller's  3  2000  500  5 in a row or 50% of 20 in 10s, for 1s  no  <auth-service grpc> closed 0
    ");
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-services"]).await, @r"
    64
    flotilla: no instance of user-services is known
    ");
}

#[tokio::test]
async fn a_platform_is_asked_only_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    running.program.kill().await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["status", "user-service"]).await, @r"
    69
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  <user-service grpc>  no answer
    flotilla: user-service at <user-service grpc>: no instance of user-service can be reached: dialling: Connection refused (os error 111)
    ");
    let running = Running::up(dir.path()).await;
    assert!(answer(dir.path(), &running, &["status"]).await.starts_with("0\n"));
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    insta::assert_snapshot!(answer_of(&mut flotilla(dir.path(), &["operations", "status"])).await, @r"
    64
    flotilla: nobody is known to ask: no `flotilla up` runs in data, and neither --endpoint nor SERVICES_STATIC, SERVICES_DNS or CONSUL_HOST leads to any instance
    ");
}

#[tokio::test]
async fn what_is_logged_is_changed_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::up(dir.path()).await;
    let filter = ["log-level", "info,rustls=debug"];
    insta::assert_snapshot!(answer(dir.path(), &running, &filter).await, @r"
    0
    SERVICE  INSTANCE  LOG  BEFORE
    api-gateway  <api-gateway grpc>  info,rustls=debug  info
    auth-service  <auth-service grpc>  info,rustls=debug  info
    user-service  <user-service grpc>  info,rustls=debug  info
    ");
    let log = running.program.stderr.with("what is logged has been changed").await;
    assert!(log.contains("caller=spiffe://flotilla.internal/operator"), "{log}");
    // The next connection is talked about, by a library that logs through another crate than we do.
    assert!(answer(dir.path(), &running, &["status"]).await.contains("info,rustls=debug"));
    running.program.stderr.with(" DEBUG user-service rustls::server").await;
    let of_one = answer(dir.path(), &running, &["log-level", "info", "auth-service"]).await;
    assert!(of_one.contains("user-service"), "all of them share the log: {of_one}");
    insta::assert_snapshot!(answer(dir.path(), &running, &["log-level", "loud"]).await, @r"
    64
    flotilla: api-gateway at <api-gateway grpc>: `loud` is no log filter: must be off, error, warn, info, debug, trace or TARGET=LEVEL
    ");
}

#[tokio::test]
async fn authz_tells_who_may_call_what() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    insta::assert_snapshot!(answer(dir.path(), &running, &["authz", "user-service"]).await, @r"
    0
    SERVICE  OPERATION  CALLERS
    user-service  /flotilla.operations.v1.OperationsService/GetStatus  operator
    user-service  /flotilla.operations.v1.OperationsService/ListPermissions  operator
    user-service  /flotilla.operations.v1.OperationsService/SetLogLevel  operator
    user-service  /flotilla.users.v1.AccountsService/ChangePassword  service/auth-service, operator
    user-service  /flotilla.users.v1.AccountsService/ChangeRole  operator
    user-service  /flotilla.users.v1.AccountsService/GetAccount  service/auth-service, operator
    user-service  /flotilla.users.v1.AccountsService/SettleChanges  service/auth-service
    user-service  /flotilla.users.v1.AccountsService/VerifyCredentials  service/auth-service, operator
    user-service  /flotilla.users.v1.AccountsService/WatchChanges  service/auth-service
    user-service  /grpc.health.v1.Health/Check  everyone
    user-service  /grpc.health.v1.Health/Watch  everyone
    user-service  /grpc.reflection.v1.ServerReflection/ServerReflectionInfo  operator
    user-service  /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo  operator
    user-service  /userservice.UserService/CreateUser  service/auth-service, operator
    user-service  /userservice.UserService/DeleteUser  operator
    user-service  /userservice.UserService/GetUser  service/order-service, service/notification-service, operator
    user-service  /userservice.UserService/UpdateUser  operator
    user-service  GET /users  operators
    user-service  GET /users/me  users
    user-service  PATCH /users/me  users
    user-service  DELETE /users/me  users
    user-service  GET /users/{id}  users
    ");
    let gateway = answer(dir.path(), &running, &["authz", "api-gateway"]).await;
    let passed: Vec<_> = gateway.lines().filter_map(|line| line.strip_prefix("api-gateway  * ")).collect();
    let expected =
        ["/auth/password  users", "/auth/sessions  users", "/.well-known  anybody", "/users  users"];
    assert_eq!(passed, [&expected[..], &["/auth  anybody"]].concat());
}

#[tokio::test]
async fn authz_tells_of_each_service_once_and_of_those_that_answer() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let users = format!("user-service={}", running.addrs.grpc);
    // Nobody listens on port 1, which only root could.
    let endpoints = ["--endpoint", &users, "--endpoint", "auth-service=127.0.0.1:1", "--endpoint", &users];
    let told = answer(dir.path(), &running, &[&["authz"], &endpoints[..]].concat()).await;
    assert!(told.starts_with("69\n"), "{told}");
    assert_eq!(told.matches("OperationsService/ListPermissions").count(), 1, "{told}");
    insta::assert_snapshot!(told.lines().last().unwrap(), @"flotilla: auth-service at 127.0.0.1:1: no instance of auth-service can be reached: dialling: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_key_is_rotated_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let keys = async |verb: &str| {
        let text = answer(dir.path(), &running, &["keys", verb]).await;
        let words = text.split_inclusive(char::is_whitespace).map(|word| match word.trim() {
            bare if bare.parse::<Timestamp>().is_ok() => word.replace(bare, "<time>"),
            bare if bare.len() == THUMBPRINT => word.replace(bare, "<key>"),
            _ => word.to_owned(),
        });
        words.collect::<String>()
    };
    insta::assert_snapshot!(keys("list").await, @r"
    0
    KEY  STATE  SIGNS FROM  PUBLISHED UNTIL
    <key>  signs  <time>
    ");
    insta::assert_snapshot!(keys("rotate").await, @r"
    0
    <key> is published and signs from <time> on.
    ");
    insta::assert_snapshot!(keys("list").await, @r"
    0
    KEY  STATE  SIGNS FROM  PUBLISHED UNTIL
    <key>  will sign  <time>
    <key>  signs  <time>  <time>
    ");
    insta::assert_snapshot!(keys("rotate").await, @r"
    69
    flotilla: a rotation is under way already
    ");
}

#[tokio::test]
async fn nobody_is_asked_without_an_operators_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let status = async |identity: &str| {
        let mut command = flotilla(dir.path(), &["operations", "status", "user-service"]);
        running.without_addresses(&answer_of(command.env("FLOTILLA_IDENTITY_DIR", identity)).await)
    };
    insta::assert_snapshot!(status("nowhere").await, @r"
    64
    flotilla: there is no operator's certificate in nowhere: `flotilla up` makes one in its data directory, `flotilla issue operator --out DIR` another, and FLOTILLA_IDENTITY_DIR says where it is: cannot read nowhere/cert.pem: it must be a PEM file that this process may read: No such file or directory (os error 2)
    ");
    for who in ["auth-service", "operator"] {
        let issue = ["issue", who, "--out", who];
        assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
    }
    insta::assert_snapshot!(status("auth-service").await, @r"
    64
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  <user-service grpc>  refused
    flotilla: user-service at <user-service grpc>: spiffe://flotilla.internal/service/auth-service may not call /flotilla.operations.v1.OperationsService/GetStatus
    ");
    assert!(status("operator").await.starts_with("0\n"));
    let issue = ["issue", "operator", "--out", "stranger", "--data-dir", "elsewhere"];
    assert_eq!(told(&mut flotilla(dir.path(), &issue)).await.0, Some(0));
    insta::assert_snapshot!(status("stranger").await, @r"
    69
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  <user-service grpc>  no answer
    flotilla: user-service at <user-service grpc>: no instance of user-service can be reached: agreeing on TLS: the peer's certificate is not to be trusted: invalid peer certificate: BadSignature
    ");
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
        let answer = without_alignment(&answer_of(&mut command).await.replace(&port.to_string(), "<port>"));
        // How those that it calls are, which are not there, changes from moment to moment.
        let is_of_edges = |line: &&str| line.starts_with("CALLER") || line.contains("  grpc  ");
        let answer = answer.replace("\n\nCALLER", "\nCALLER");
        answer.lines().filter(|line| !is_of_edges(line)).collect::<Vec<_>>().join("\n")
    };
    let endpoint = |service: &str, host: &str| format!("{service}={host}:{port}");
    let by_name = ["--endpoint", &endpoint("user-service", "localhost")];
    insta::assert_snapshot!(ask(&by_name, None).await, @r"
    0
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  localhost:<port>  ok  0.1.0  info  database ok
    ");
    let list = format!("user-service=127.0.0.1:3000:{port}");
    insta::assert_snapshot!(ask(&[], Some(&list)).await, @r"
    0
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  127.0.0.1:<port>  ok  0.1.0  info  database ok
    ");
    // Nobody listens on port 1, which only root could.
    let gone = ["--endpoint", "user-service=127.0.0.1:1"];
    insta::assert_snapshot!(ask(&gone, Some(&list)).await, @r"
    69
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    user-service  127.0.0.1:1  no answer
    flotilla: user-service at 127.0.0.1:1: no instance of user-service can be reached: dialling: Connection refused (os error 111)
    ");
    let other = ["--endpoint", &endpoint("auth-service", "127.0.0.1")];
    insta::assert_snapshot!(ask(&other, None).await, @r"
    69
    SERVICE  INSTANCE  STATUS  VERSION  LOG  CHECKS
    auth-service  127.0.0.1:<port>  no answer
    flotilla: auth-service at 127.0.0.1:<port>: no instance of auth-service can be reached: agreeing on TLS: the peer's certificate is spiffe://flotilla.internal/service/user-service, where spiffe://flotilla.internal/service/auth-service was called
    ");
    insta::assert_snapshot!(ask(&["--endpoint", "user-service"], None).await, @r"
    64
    error: invalid value 'user-service' for '--endpoint <SERVICE=HOST:PORT>': must be SERVICE=HOST:PORT, such as user-service=127.0.0.1:50051

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(ask(&[], Some("user-service=localhost")).await, @r#"
    64
    flotilla: 1 setting is wrong:
    SERVICES_STATIC (environment): must be SERVICE=IP or SERVICE=IP:HTTP_PORT:GRPC_PORT, such as user-service=10.0.0.1:3000:50051, not "user-service=localhost"
    "#);
}
