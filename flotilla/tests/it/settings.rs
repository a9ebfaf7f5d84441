//! What it is told by the environment and by `flotilla.toml`.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::alone::user_service;
use crate::processes::free_ports;
use crate::program::{flotilla, told};
use crate::together::{FREE, Running, up_in};
use crate::visitor::Visitor;

#[tokio::test]
async fn a_service_without_settings_names_all_that_is_missing_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, text) = told(&mut flotilla(dir.path(), &["run", "user-service"])).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r"
    user-service: 5 settings are wrong:
      TLS_CERT_FILE: not set, must be a PEM file with the service's certificate and its chain
      TLS_KEY_FILE: not set, must be a PEM file with the certificate's key
      TLS_CA_FILE: not set, must be a PEM file with the authorities that vouch for other services
      SERVICES_STATIC: not set, must be the instances of the other services with commas between them, each SERVICE=IP or SERVICE=IP:HTTP_PORT:GRPC_PORT, or else SERVICES_DNS or CONSUL_HOST
      DATABASE_URL: not set, must be postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:PATH, or else DB_HOST, DB_USER, DB_PASSWORD and DB_NAME
    ");
}

#[tokio::test]
async fn a_service_with_wrong_settings_names_all_of_them_at_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "argon2_memory_kib = 7\n[user-service]\nhttp_prt = 3000\n");
    let mut command = user_service(dir.path(), "mysql://ada@db.internal/users");
    command.args(["--grpc-port", "many"]).env("TLS_CERT_FIEL", "cert.pem").env("TLS_KEY_FILE", "gone.pem");
    let (code, _, text) = told(command.env_remove("ARGON2_MEMORY_KIB")).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r#"
    user-service: 6 settings are wrong:
      TLS_KEY_FILE (environment): must be a PEM file with the certificate's key that can be read (entity not found), not "gone.pem"
      --grpc-port (flag): must be a port from 0 to 65535, where 0 takes a free one, not "many"
      DATABASE_URL (environment): must be postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:PATH
      argon2_memory_kib (flotilla.toml:1): must be a number from 8 to 262144, not "7"
      TLS_CERT_FIEL (environment): no such setting, the nearest is TLS_CERT_FILE
      http_prt (flotilla.toml:3): no such setting, the nearest is http_port
    "#);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_platforms_settings_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "drain_timeout = \"soon\"\n[user-service]\nargon2_iterations = 0\n[order-service]\n");
    let mut command = flotilla(dir.path(), &["--log-format", "yaml"]);
    let (code, _, text) = told(command.env("LOG_LEVEL", "user=loud")).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r#"
    flotilla: 5 settings are wrong:
      --log-format (flag): must be human or json, not "yaml"
      LOG_LEVEL (environment): must be a log filter such as info or info,user_service=debug, not "user=loud"
      [order-service] (flotilla.toml:4): no such setting
      drain_timeout (flotilla.toml:1): must be a duration from 1s to 10m, such as 250ms, 5s or 2m, not "soon"
      argon2_iterations (flotilla.toml:3): must be a number from 1 to 16, not "0"
    "#);
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[tokio::test]
async fn a_platform_reads_no_engine_and_no_port_from_its_environment() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = up_in(dir.path());
    command.envs([("DATABASE_URL", "postgres://ada@127.0.0.1:1/users"), ("DB_HOST", "127.0.0.1")]);
    command.envs([("DB_PORT", "one"), ("DB_USER", "ada"), ("DB_PASSWORD", "secret"), ("DB_NAME", "users")]);
    command.envs([("DB_SSLMODE", "loud"), ("DB_SSLROOTCERT", "gone.pem"), ("DB_PASSWORD_FILE", "gone")]);
    command.envs([("DB_POOL_SIZE", "many"), ("DB_LANES", "0"), ("DB_LOCK_TIMEOUT", "never")]);
    command.envs([
        ("HTTP_PORT", "1"),
        ("GRPC_PORT", "1"),
        ("ADMIN_PORT", "1"),
        ("BIND_ADDRESS", "::9"),
        ("ADMIN_BIND_ADDRESS", "::9"),
    ]);
    command.envs([("SIGNING_KEY_SECRET", "none"), ("SERVICES_STATIC", "none")]);
    command.envs([("TLS_CERT_FILE", "gone"), ("TLS_KEY_FILE", "gone"), ("TLS_CA_FILE", "gone")]);
    command.envs([
        ("TRUST_DOMAIN", "no domain"),
        ("DATABASE_URI", "x"),
        ("HTTP_PORTS", "1"),
        ("TLS_CERTFILE", "x"),
        ("SERVICES_STATIC", "nowhere"),
    ]);
    let running = Running::started(dir.path(), &mut command).await;
    assert!(running.table.contains(" sqlite:data/user-service.db\n"), "{}", running.table);
    assert!(running.addrs.http.ip().is_loopback() && running.addrs.http.port() != 1);
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn what_has_no_say_in_a_platform_is_refused_where_it_stands_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\
database_url = \"sqlite:users.db\"
trust_domain = \"example.org\"
log_level = \"info\"
[user-service]
http_port = 0
db_pool_size = 3
db_password_file = \"secret\"
tls_cert_file = \"tls.crt\"
log_level = \"debug\"
compute_threads = 1
http_prt = 1
[auth-service]
signing_key_secret_file = \"secret\"
[flotilla]
argon2_iterations = 2
";
    write(dir.path(), text);
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r"
    flotilla: 10 settings are wrong:
      signing_key_secret_file (flotilla.toml:13): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
      database_url (flotilla.toml:1): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
      argon2_iterations (flotilla.toml:15): has no effect in this section, must be at the top level
      trust_domain (flotilla.toml:2): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
      compute_threads (flotilla.toml:10): has no effect in this section, must be at the top level
      db_password_file (flotilla.toml:7): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
      db_pool_size (flotilla.toml:6): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
      http_prt (flotilla.toml:11): no such setting, the nearest is http_port
      log_level (flotilla.toml:9): has no effect in this section, must be at the top level
      tls_cert_file (flotilla.toml:8): `flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`
    ");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[tokio::test]
async fn a_services_section_of_the_file_applies_to_a_platform() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "argon2_memory_kib = 4096\n[user-service]\nargon2_memory_kib = 64\n");
    let mut command = flotilla(dir.path(), &["up"]);
    let mut running = Running::started(dir.path(), command.envs(FREE)).await;
    running.accounts().await.create("ada@example.com").await.unwrap();
    running.program.stderr.with("raise ARGON2_MEMORY_KIB or ARGON2_ITERATIONS").await;
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    // What was last written may still be in the journal beside it.
    let is_kept = ["user-service.db", "user-service.db-wal"].iter().any(|file| {
        let bytes = std::fs::read(dir.path().join("data").join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains("$argon2id$v=19$m=64,t=2,p=1$")
    });
    assert!(is_kept, "the hash was made at the service's own cost");
}

#[tokio::test]
async fn a_port_that_is_taken_is_unavailable() {
    #[expect(clippy::disallowed_methods, reason = "the port is taken from outside the platform")]
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &format!("[user-service]\nhttp_port = {}\n", addr.port()));
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    let told_so = format!("flotilla: listening on {addr} (http): Address already in use (os error 98)\n");
    assert_eq!((code, text.lines().last()), (Some(69), told_so.lines().last()), "{text}");
    std::fs::remove_file(dir.path().join("flotilla.toml")).unwrap();
    let (code, _, text) = told(up_in(dir.path()).args(["--public", &addr.to_string()])).await;
    assert_eq!(code, Some(69));
    assert!(text.contains(&format!("flotilla: listening on {addr} (public): ")), "{text}");
    let url = format!("sqlite:{}", dir.path().join("alone.db").display());
    let mut alone = user_service(dir.path(), &url);
    let (code, _, text) = told(alone.env("ADMIN_PORT", addr.port().to_string())).await;
    assert_eq!(code, Some(69));
    assert!(text.contains(&format!("user-service: listening on {addr} (admin): ")), "{text}");
}

#[tokio::test]
async fn the_public_is_let_in_where_it_is_said_and_beyond_this_machine_only_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    let [[port]] = free_ports();
    let asked = format!("127.0.0.1:{port}");
    let running = Running::started(dir.path(), up_in(dir.path()).args(["--public", &asked])).await;
    let public = running.services["api-gateway"].http;
    assert_eq!(public.to_string(), asked);
    assert_eq!(Visitor::of(public).register("ada@example.com").await.unwrap().0, 201);
    assert_eq!(running.program.code_after("TERM").await, Some(0));
    let (code, _, text) = told(up_in(dir.path()).args(["--public", "0.0.0.0:0"])).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r"
    flotilla: 2 settings are wrong:
      PUBLIC_TLS_CERT_FILE: not set, must be a PEM file with the certificate for the public and its chain, because PUBLIC_BIND_ADDRESS is not loopback, unless PUBLIC_TLS is terminated
      PUBLIC_TLS_KEY_FILE: not set, must be a PEM file with the key of PUBLIC_TLS_CERT_FILE
    ");
    let (code, _, text) = told(up_in(dir.path()).args(["--public", "localhost"])).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r"
    error: invalid value 'localhost' for '--public <IP:PORT>': invalid socket address syntax

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens on port 1, which only root could.
    let mut command = user_service(dir.path(), "postgres://ada:secret@127.0.0.1:1/users");
    let (code, _, text) = told(&mut command).await;
    assert_eq!(code, Some(69));
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("user-service: opening postgres://ada@127.0.0.1:1/users: "), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_database_that_is_damaged_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/user-service.db"), [7; 8192]).unwrap();
    let (code, _, text) = told(&mut up_in(dir.path())).await;
    assert_eq!(code, Some(70));
    assert!(!text.contains("not reached yet"), "{text}");
    insta::assert_snapshot!(text.lines().last().unwrap(), @"flotilla: opening sqlite:data/user-service.db: the file is damaged: file is not a database");
}

#[tokio::test]
async fn the_file_of_a_service_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::alone(dir.path(), "sqlite:users.db").await;
    for file in ["users.db", "users.db-wal", "users.db-shm"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn a_configuration_without_an_end_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = user_service(dir.path(), "sqlite:users.db");
    let (code, _, text) = told(command.args(["--config", "/dev/zero"])).await;
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(text, @r"
    user-service: 1 setting is wrong:
      /dev/zero: cannot be read: it has more than 1048576 bytes
    ");
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("flotilla.toml"), text).unwrap();
}
