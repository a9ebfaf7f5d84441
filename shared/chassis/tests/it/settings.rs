//! What is wrong in a configuration is told at once, with what would be right, and without secrets.

use std::io::Write as _;
use std::time::Duration;

use chassis::{
    ConfigFile, Configure, Flags, Listeners, ProcessConfig, SettingErrors, Settings, Sources, Vars,
    database_config, finish_all,
};
use database::{Backend, TlsMode};
use secrecy::ExposeSecret as _;
use types::ServiceName;

const USERS: ServiceName = ServiceName::new("user-service");
const SHOP: ServiceName = ServiceName::new("shop-service");

fn sources<const N: usize>(vars: [(&str, &str); N], file: &str, flags: &[&str]) -> Sources {
    let flags = Flags::parse(flags.iter().map(|&flag| flag.to_owned()));
    Sources { vars: Vars::from(vars), file: ConfigFile::parse("flotilla.toml", file), flags }
}

fn vars<const N: usize>(vars: [(&str, &str); N]) -> Settings {
    Settings::new(USERS, sources(vars, "", &[]))
}

fn told(errors: Result<(), SettingErrors>) -> String {
    errors.expect_err("something is wrong").to_string()
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let file = "http_port = 1\ngrpc_port = 2\nadmin_port = 3\npool = 4\n[user-service]\ngrpc_port = 5\nadmin_port = 6";
    let vars = [("ADMIN_PORT", "7"), ("POOL", "8")];
    let mut settings = Settings::new(USERS, sources(vars, file, &["--pool", "9"]));
    let ports = ["HTTP_PORT", "GRPC_PORT", "ADMIN_PORT", "POOL", "OTHER"].map(|name| settings.port(name, 10));
    assert_eq!(ports, [1, 5, 7, 9, 10]);
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn every_kind_of_value_is_read() {
    let mut settings = vars([
        ("NAME", "tea"),
        ("WAIT", "250ms"),
        ("BODY", "64KiB"),
        ("COUNT", "7"),
        ("OPEN", "true"),
        ("COLOUR", "green"),
        ("EMPTY", ""),
    ]);
    assert_eq!(settings.text("NAME", ""), "tea");
    assert_eq!(settings.text("EMPTY", "not given"), "not given");
    let second = Duration::from_secs(1);
    assert_eq!(settings.duration("WAIT", second, Duration::ZERO..=second), Duration::from_millis(250));
    assert_eq!(settings.size("BODY", 1, 1..=1 << 20), 64 << 10);
    assert_eq!(settings.number("COUNT", 1, 1..=9), 7);
    assert!(settings.boolean("OPEN", false));
    assert_eq!(settings.one_of("COLOUR", [("red", 1), ("green", 2)]), 2);
    assert_eq!(settings.one_of("OTHER", [("red", 1), ("green", 2)]), 1);
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place_and_what_would_be_right() {
    let file =
        "log_format = \"xml\"\ncolour = 1\n[user-service]\nadmin_port = 70000\nopen = [1]\n[user-servce]";
    let vars = [
        ("HTTP_PORT", "80a"),
        ("WAIT", "5"),
        ("BODY", "2MiB"),
        ("GPRC_PORT", "1"),
        ("OPEN", "yes"),
        ("SERVICES_STATIC", "auth-service=10.0.0.1:0:1, user-service=10.0.0.2, auth"),
    ];
    let flags = ["--count", "11", "--trust-domian", "x", "loose", "--HTTP-port", "1"];
    let mut settings = Settings::new(USERS, sources(vars, file, &flags));
    let second = Duration::from_secs(1);
    ProcessConfig::configure(&mut settings);
    settings.duration("WAIT", second, Duration::ZERO..=second);
    settings.size("BODY", 1, 1..=1 << 20);
    settings.number("COUNT", 1, 1..=9);
    settings.boolean("OPEN", false);
    insta::assert_snapshot!(told(settings.finish()));
}

/// What is wrong about discovery with these settings.
fn wrong_about_discovery<const N: usize>(given: [(&str, &str); N]) -> String {
    let mut settings = vars(given);
    ProcessConfig::configure(&mut settings);
    let all = told(settings.finish());
    let about =
        |line: &&str| ["SERVICES_", "CONSUL_", "DNS_", "ADVERTISE_"].iter().any(|word| line.contains(word));
    all.lines().filter(about).map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_process_finds_the_others_in_exactly_one_way_and_says_by_which_address_it_is_found() {
    let told = [
        wrong_about_discovery([]),
        wrong_about_discovery([("SERVICES_STATIC", "a=10.0.0.1")]),
        wrong_about_discovery([
            ("SERVICES_STATIC", "a=10.0.0.1"),
            ("CONSUL_HOST", "consul"),
            ("BIND_ADDRESS", "::1"),
        ]),
        wrong_about_discovery([("CONSUL_HOST", "consul")]),
        wrong_about_discovery([("CONSUL_HOST", "consul"), ("BIND_ADDRESS", "10.0.0.1")]),
        wrong_about_discovery([("CONSUL_HOST", "consul"), ("ADVERTISE_ADDRESS", "10.0.0.1")]),
        wrong_about_discovery([("CONSUL_HOST", "consul"), ("ADVERTISE_ADDRESS", "0.0.0.0")]),
        wrong_about_discovery([("SERVICES_DNS", "{service}.internal"), ("DNS_SERVERS", "10.0.0.53:53")]),
        wrong_about_discovery([("SERVICES_DNS", "a=10.0.0.1, b"), ("DNS_SERVERS", "10.0.0.53")]),
    ];
    insta::assert_snapshot!(told.join("\n--\n"));
}

#[test]
fn an_agent_is_trusted_by_its_certificate_or_asked_in_plain_text_and_never_something_between() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let wrong = |tls, ca: &str| {
        let given = [("CONSUL_HOST", "http://consul"), ("CONSUL_TLS", tls), ("CONSUL_CA_FILE", ca)];
        let told = wrong_about_discovery(given);
        let given = [
            ("CONSUL_HOST", "consul"),
            ("ADVERTISE_ADDRESS", "::1"),
            ("CONSUL_TLS", tls),
            ("CONSUL_CA_FILE", ca),
        ];
        format!("{told}\n{}", wrong_about_discovery(given))
    };
    let file = file.to_str().unwrap();
    let told = [wrong("true", ""), wrong("false", file), wrong("true", file), wrong("true", "/nowhere")];
    insta::assert_snapshot!(told.join("\n--\n").replace(file, "<file>"));
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_lines() {
    let mut settings =
        Settings::new(USERS, sources([], "http_port = 1\nname = \"tea\n\n[user-service\n", &[]));
    settings.port("HTTP_PORT", 2);
    settings.text("NAME", "");
    insta::assert_snapshot!(told(settings.finish()), @r#"
    2 settings are wrong:
      flotilla.toml:2: invalid basic string, expected `"`
      flotilla.toml:4: unclosed table, expected `]`
    "#);
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let file = ConfigFile::read("/nowhere/flotilla.toml".as_ref());
    let settings = Settings::new(USERS, Sources { file, ..Sources::default() });
    insta::assert_snapshot!(told(settings.finish()), @r#"
    1 setting is wrong:
      /nowhere/flotilla.toml: cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn near_misses_in_the_environment_are_wrong_and_other_names_are_not_ours() {
    let misses = [("HTPP_PORT", "1"), ("http_port", "1"), ("DRAIN_TIME_OUT", "1"), ("DB_PASWORD", "hunter2")];
    let settings = vars(misses);
    insta::assert_snapshot!(told(settings.finish()), @r#"
    4 settings are wrong:
      DB_PASWORD (environment): no such setting, the nearest is DB_PASSWORD
      DRAIN_TIME_OUT (environment): no such setting, the nearest is DRAIN_TIMEOUT
      HTPP_PORT (environment): no such setting, the nearest is HTTP_PORT
      http_port (environment): no such setting, the nearest is HTTP_PORT
    "#);
    let others =
        [("PATH", "/"), ("HTTP_PROXY", "x"), ("HOME", "/"), ("HTTP_PORTAL", "x"), ("DB_PASSWORD_FILE", "x")];
    assert_eq!(vars(others).finish(), Ok(()));
}

#[test]
fn the_address_of_a_kubernetes_service_is_no_setting() {
    let links = [
        ("HTTP_PORT", "tcp://10.0.0.1:80"),
        ("GRPC_PORT", "udp://10.0.0.1:53"),
        ("DBS_PORT", "tcp://10.0.0.1:5432"),
        ("DB_PORT", "tcp://10.0.0.1:5432"),
        ("DB_SERVICE_HOST", "10.0.0.1"),
        ("DB_SERVICE_PORT", "5432"),
        ("DB_PORT_5432_TCP_ADDR", "10.0.0.1"),
        ("DATABASE_URL", "sqlite:users.db"),
    ];
    let mut settings = vars(links);
    assert_eq!([settings.port("HTTP_PORT", 3000), settings.port("GRPC_PORT", 50051)], [3000, 50051]);
    assert_eq!(database_config(&mut settings).backend.to_string(), "sqlite:users.db");
    assert_eq!(settings.finish(), Ok(()));
    let mut settings = vars([("HTTP_PORT", "tcp:80")]);
    settings.port("HTTP_PORT", 3000);
    assert!(told(settings.finish()).contains("HTTP_PORT (environment): must be a port"));
}

#[test]
fn a_name_that_another_service_of_the_composition_knows_is_no_near_miss() {
    let shared = sources([("CART_SIZES", "1")], "cart_limits = 3\n[shop-service]\ncart_limit = 2", &[]);
    let mut users = Settings::new(USERS, shared.clone());
    users.number("CART_SIZE", 1, 1..=9);
    let mut shop = Settings::new(SHOP, shared.clone());
    shop.number("CART_SIZES", 1, 1..=9);
    shop.number("CART_LIMIT", 1, 1..=9);
    shop.number("CART_LIMITS", 1, 1..=9);
    assert_eq!(finish_all([users, shop]), Ok(()));
    let mut alone = Settings::new(USERS, shared);
    alone.number("CART_SIZE", 1, 1..=9);
    insta::assert_snapshot!(told(alone.finish()), @r#"
    2 settings are wrong:
      CART_SIZES (environment): no such setting, the nearest is CART_SIZE
      cart_limits (flotilla.toml:1): no such setting
    "#);
}

#[test]
fn a_composition_knows_all_its_sections_and_tells_shared_errors_once() {
    let shared = sources([("HTTP_PORT", "x")], "[user-service]\n[stranger]\nany = 1", &[]);
    let both = [USERS, SHOP].map(|service| {
        let mut settings = Settings::new(service, shared.clone());
        settings.port("HTTP_PORT", 1);
        settings
    });
    insta::assert_snapshot!(told(finish_all(both)), @r#"
    2 settings are wrong:
      HTTP_PORT (environment): must be a port from 0 to 65535, where 0 takes a free one, not "x"
      [stranger] (flotilla.toml:2): no such setting
    "#);
}

#[test]
fn a_secret_comes_from_its_variable_or_from_a_file_without_its_last_line_break() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from file \r\n").unwrap();
    let path = file.path().to_str().unwrap();
    let mut settings = vars([("ONE", "direct"), ("TWO_FILE", path)]);
    let secrets = ["ONE", "TWO"].map(|name| settings.required_secret(name, "a key"));
    assert_eq!(secrets.each_ref().map(|secret| secret.expose_secret()), ["direct", "from file "]);
    assert_eq!(settings.secret("THREE", "a key").map(|_| ()), None);
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn a_wrong_secret_is_told_without_being_shown() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_str().unwrap();
    let values = [
        ("ONE", "hunter2"),
        ("ONE_FILE", "/x"),
        ("TWO_FILE", "/nowhere/key"),
        ("THREE_FILE", path),
        ("DATABASE_URL", "postgres://ada:hunter2@db"),
    ];
    let sources = sources(values, "five = \"hunter2\"", &["--four", "hunter2"]);
    let mut settings = Settings::new(USERS, sources);
    for name in ["ONE", "TWO", "THREE", "FOUR", "MISSING"] {
        settings.required_secret(name, "a key");
    }
    let five = settings.required_secret("FIVE", "a key");
    settings.reject("FIVE", "another key than ONE");
    let config = database_config(&mut settings);
    let shown = format!("{settings:?} {five:?} {config:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let told = told(settings.finish()).replace(path, "EMPTY");
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}

fn database<const N: usize>(values: [(&str, &str); N]) -> Result<Backend, String> {
    let mut settings = vars(values);
    let config = database_config(&mut settings);
    settings.finish().map(|()| config.backend).map_err(|errors| errors.to_string())
}

#[test]
fn a_database_is_named_by_a_url_or_by_its_parts() {
    let url = [("DATABASE_URL", "postgres://ada:x@localhost/shop"), ("DB_LANES", "2"), ("DB_POOL_SIZE", "3")];
    let Ok(Backend::Postgres(by_url)) = database(url) else { panic!("a PostgreSQL database") };
    assert_eq!((by_url.lanes, by_url.pool, by_url.tls.clone()), (2, 3, TlsMode::Disable));
    assert_eq!(Backend::Postgres(by_url).to_string(), "postgres://ada@localhost:5432/shop");
    let parts = [
        ("DB_HOST", "db"),
        ("DB_PORT", "6543"),
        ("DB_USER", "ada"),
        ("DB_PASSWORD", "x"),
        ("DB_NAME", "shop"),
    ];
    let tls = [("DB_SSLROOTCERT", "/ca.pem")];
    let parts: [_; 6] = std::array::from_fn(|at| parts.get(at).copied().unwrap_or(tls[0]));
    let Ok(Backend::Postgres(by_parts)) = database(parts) else { panic!("a PostgreSQL database") };
    assert_eq!(by_parts.tls, TlsMode::VerifyFull("/ca.pem".into()));
    assert_eq!(Backend::Postgres(by_parts).to_string(), "postgres://ada@db:6543/shop");
    assert_eq!(database([("DATABASE_URL", "sqlite:users.db")]).unwrap().to_string(), "sqlite:users.db");
}

#[test]
fn a_database_that_is_named_twice_or_half_or_not_at_all_is_refused() {
    let twice = [("DATABASE_URL", "sqlite:users.db"), ("DB_HOST", "db"), ("DB_PASSWORD_FILE", "/x")];
    let url = "postgres://ada:x@db/shop?sslmode=require";
    let tls_twice = [("DATABASE_URL", url), ("DB_SSLMODE", "disable")];
    let cases = [
        database([]),
        database(twice),
        database([("DB_HOST", "localhost"), ("DB_PORT", "0")]),
        database([("DATABASE_URL", "postgres://ada:x@db/shop")]),
        database([("DATABASE_URL", url), ("DB_SSLMODE", "prefer")]),
        database(tls_twice),
    ];
    let told = cases.map(|case| case.expect_err("it is refused")).join("\n");
    insta::assert_snapshot!(told);
}

#[test]
fn listeners_have_ports_of_their_own_and_a_delay_within_the_drain() {
    let mut settings = vars([("HTTP_PORT", "50051"), ("DRAIN_DELAY", "9s"), ("DRAIN_TIMEOUT", "5s")]);
    Listeners::configure(&mut settings);
    insta::assert_snapshot!(told(settings.finish()), @r#"
    2 settings are wrong:
      DRAIN_DELAY (environment): must be shorter than DRAIN_TIMEOUT, which it is part of, not "9s"
      GRPC_PORT: not set, must be another port than HTTP_PORT
    "#);
    let mut settings = vars([("HTTP_PORT", "0"), ("GRPC_PORT", "0"), ("BIND_ADDRESS", "::1")]);
    let listeners = Listeners::local().or(&mut settings);
    assert_eq!(listeners.grpc, "[::1]:0".parse().unwrap());
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn every_setting_can_be_described() {
    let mut settings = vars([]);
    Listeners::configure(&mut settings);
    settings.secret("DB_PASSWORD", "the role's password");
    insta::assert_snapshot!(settings.describe());
}
