//! What the README shows is what happens.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chassis::Addrs;
use serde_json::{Map, Value};
use tokio::process::Command;
use types::{Timestamp, UserId};

use crate::processes::free_ports;
use crate::program::{Program, flotilla, told};
use crate::server;
use crate::together::{CHEAP, FREE, Running, services};

const README: &str = include_str!("../../../README.md");

/// The section about services that are processes of their own, and the ports that it shows.
const PROCESSES: &str = "Three services on PostgreSQL";
const PORTS: [&str; 9] = ["8080", "3000", "3001", "50051", "50052", "50053", "9000", "9001", "9002"];

/// How the README starts the platform, the example, and any command.
const START: &str = "cargo run --release";
const EXAMPLE: &str = "cargo run --release --example create-user --";
const COMMAND: &str = "cargo run --release --";

#[tokio::test]
async fn its_commands_have_the_answers_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let mut shown = commands_with_answers("Run it").chain(commands_with_answers("Operators"));
    let (start, table) = shown.next().expect("the first command starts the platform");
    assert_eq!(start, START);
    let running = Running::started(dir.path(), flotilla(dir.path(), &[]).envs(FREE)).await;
    assert_eq!(without_chance(&running.table), without_chance(table));
    let ports = ports(&services(table)).into_iter().zip(ports(&running.services)).collect();
    let mut tried = 0;
    for (command, answer) in shown {
        assert_answers(dir.path(), &with(&ports, command), answer).await;
        tried += 1;
    }
    assert_eq!(tried, 8, "commands after the start");
}

#[tokio::test]
async fn three_services_run_on_postgresql_as_it_says() {
    let sql = blocks(PROCESSES, "sql").next().expect("databases have to be made");
    let Some(urls) = server::made_by(sql, ["users", "auth"]).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut shown = commands_with_answers(PROCESSES);
    let (issue, answer) = shown.next().expect("certificates are issued");
    assert_answers(dir.path(), issue, answer).await;
    let secret = std::fs::metadata(dir.path().join("signing-key-secret")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o077, 0, "others may read the secret");

    let [free] = free_ports::<{ PORTS.len() }, 1>();
    let ports = PORTS.into_iter().map(str::to_owned).zip(free.map(|port| port.to_string())).collect();
    let file = blocks(PROCESSES, "toml").next().expect("a file holds the settings");
    let file = ["users", "auth"].iter().zip(&urls).fold(with(&ports, file), |file, (shown, url)| {
        file.replace(&format!("postgres://{shown}:secret@127.0.0.1:5432/{shown}"), url)
    });
    std::fs::write(dir.path().join("processes.toml"), file).unwrap();
    let starts: Vec<_> =
        blocks(PROCESSES, "sh").filter(|block| block.starts_with(&format!("{COMMAND} run "))).collect();
    assert_eq!(starts.len(), 3, "{starts:?}");
    let mut services = Vec::new();
    for start in starts {
        // In place of a shell that waits for the service, the service.
        let mut command = shell(dir.path(), &format!("exec {start}"));
        let mut service = Program::start(command.envs(CHEAP).env("DRAIN_DELAY", "0ms"));
        service.stderr.with("\"serving\"").await;
        services.push(service);
    }
    for (command, answer) in commands_with_answers("Run it").skip(1).chain(shown) {
        assert_answers(dir.path(), &with(&ports, command), answer).await;
    }
    for service in services {
        assert_eq!(service.code_after("TERM").await, Some(0));
    }
}

#[tokio::test]
async fn a_platform_takes_the_file_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let file = blocks(PROCESSES, "toml").last().expect("it shows one");
    assert!(file.contains("50051") && file.contains("8080"), "{file}");
    // The ports that it shows may be taken.
    std::fs::write(dir.path().join("flotilla.toml"), file.replace("50051", "0").replace("8080", "0"))
        .unwrap();
    let running = Running::started(dir.path(), &mut flotilla(dir.path(), &["up"])).await;
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn the_settings_that_it_names_are_those_of_the_programs() {
    let dir = tempfile::tempdir().unwrap();
    let mut help = help_of(dir.path(), &["operations", "--help"]).await;
    for service in ["user-service", "auth-service", "api-gateway"] {
        help += &help_of(dir.path(), &["run", service, "--help"]).await;
    }
    let is_setting =
        |word: &&str| word.contains('_') && word.chars().all(|it| it == '_' || it.is_ascii_uppercase());
    let named: Vec<&str> =
        README.split(|it: char| it != '_' && !it.is_alphanumeric()).filter(is_setting).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(help.contains(&format!(" {name}")), "the README names {name}, which is no setting");
    }
}

#[tokio::test]
async fn the_exit_codes_that_it_names_are_those_of_the_help() {
    let dir = tempfile::tempdir().unwrap();
    let readme = README.replace('`', "");
    for command in [&["--help"][..], &["operations", "--help"], &["issue", "--help"]] {
        let help = help_of(dir.path(), command).await;
        let (_, codes) = help.split_once("Exit codes:\n").unwrap();
        for line in codes.lines() {
            let (code, meaning) = line.trim().split_once(' ').unwrap();
            let row = format!("| {code} | {}", meaning.trim());
            assert!(readme.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }
}

async fn help_of(dir: &Path, command: &[&str]) -> String {
    let (code, help, _) = told(&mut flotilla(dir, command)).await;
    assert_eq!(code, Some(0), "{command:?}");
    help
}

fn section(title: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {title}\n")).expect("there is such a section");
    rest.split("\n## ").next().expect("a split has a first part")
}

/// What stands in blocks of `language` in the section of this title.
fn blocks(title: &str, language: &str) -> impl Iterator<Item = &'static str> {
    let blocks = section(title).split("```").skip(1).step_by(2);
    let fence = format!("{language}\n");
    blocks.filter_map(move |block| block.strip_prefix(fence.as_str()))
}

/// The commands that are followed by their answer.
fn commands_with_answers(title: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    section(title).split("```sh\n").skip(1).filter_map(|rest| {
        let (command, rest) = rest.split_once("\n```\n")?;
        let (answer, _) = rest.strip_prefix("\n```text\n")?.split_once("```")?;
        Some((command, answer))
    })
}

/// The ports of all listeners, in an order that depends on nothing else.
fn ports(services: &BTreeMap<String, Addrs>) -> Vec<String> {
    let addrs = services.values().flat_map(|Addrs { http, grpc, admin }| [http, grpc, admin]);
    addrs.map(|addr| addr.port().to_string()).collect()
}

/// `text` with the ports that are in place of those that the README shows, which are nobody's.
fn with(ports: &BTreeMap<String, String>, text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let ends = rest.find(|it: char| it.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(ends);
        parts.push(ports.get(part).map_or(part, String::as_str));
        rest = after;
    }
    parts.concat()
}

async fn assert_answers(dir: &Path, command: &str, answer: &str) {
    let (code, stdout, stderr) = told(&mut shell(dir, command)).await;
    assert_eq!(code, Some(0), "{command}: {stderr}");
    assert_eq!(without_chance(&stdout), without_chance(answer), "{command}");
}

/// The command as a user types it, except that what it starts is built already and is not built again.
fn shell(dir: &Path, command: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let example: PathBuf = tests.parent().unwrap().with_file_name("examples").join("create-user");
    assert!(example.exists(), "{} comes with `cargo test -p flotilla`", example.display());
    let mut shell = Command::new("sh");
    let command = command.replace(EXAMPLE, &example.display().to_string());
    shell.arg("-c").arg(command.replace(COMMAND, env!("CARGO_BIN_EXE_flotilla"))).current_dir(dir);
    shell.kill_on_drop(true);
    shell
}

/// Ports, ids, times and tokens by what they are, and blanks one by one.
fn without_chance(text: &str) -> String {
    let lines = text.lines().map(|line| match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(object) => {
            Value::from_iter(object.into_iter().map(|(name, value)| kind_of(name, value))).to_string()
        }
        Err(_) => line.split_whitespace().map(word_without_chance).collect::<Vec<_>>().join(" "),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn kind_of(name: String, value: Value) -> (String, Value) {
    let text = value.as_str().unwrap_or_default();
    let value = match name.as_str() {
        "access_token" | "refresh_token" => Value::from("<token>"),
        _ if value.is_string() => Value::from(word_without_chance(text)),
        _ => value,
    };
    (name, value)
}

fn word_without_chance(word: &str) -> String {
    let bare = word.trim_matches(['"', ',']);
    let kind = match bare {
        _ if bare.starts_with("127.0.0.1:") => "<address>",
        _ if bare.contains("http://127.0.0.1:") => "<url>",
        _ if bare.parse::<UserId>().is_ok() => "<id>",
        _ if bare.parse::<Timestamp>().is_ok() => "<time>",
        other => other,
    };
    word.replace(bare, kind)
}
