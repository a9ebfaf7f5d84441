//! What the README shows is what happens.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use types::{Timestamp, UserId};

use crate::program::{Program, flotilla, told};
use crate::server;
use crate::together::{CHEAP, Running};

const README: &str = include_str!("../../../README.md");

/// How the README starts the platform, the example, and any command.
const START: &str = "cargo run --release";
const EXAMPLE: &str = "cargo run --release --example create-user --";
const COMMAND: &str = "cargo run --release --";

#[tokio::test]
async fn its_commands_have_the_answers_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let mut shown = commands_with_answers("Run it");
    let (start, table) = shown.next().expect("the first command starts the platform");
    assert_eq!(start, START);
    let running = Running::started(dir.path(), &mut flotilla(dir.path(), &[])).await;
    assert_eq!(without_chance(&running.table), without_chance(table));
    let mut tried = 0;
    for (command, answer) in shown {
        let command = with_the_ports_of(&running, command);
        let (code, stdout, stderr) = told(&mut shell(dir.path(), &command)).await;
        assert_eq!(code, Some(0), "{command}: {stderr}");
        assert_eq!(without_chance(&stdout), without_chance(answer), "{command}");
        tried += 1;
    }
    assert_eq!(tried, 2, "commands after the start");
}

#[tokio::test]
async fn a_service_runs_on_postgresql_as_it_says() {
    let section = "One service on PostgreSQL";
    let sql = blocks(section, "sql").next().expect("a database has to be made");
    let Some(url) = server::made_by(sql, "users").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let (issue, answer) = commands_with_answers(section).next().expect("a certificate is issued");
    let (code, stdout, stderr) = told(&mut shell(dir.path(), issue)).await;
    assert_eq!((code, stdout.as_str()), (Some(0), answer), "{stderr}");

    let run = blocks(section, "sh").last().expect("the service is started");
    let shown = "postgres://users:secret@127.0.0.1:5432/users";
    assert!(run.contains(shown), "{run}");
    // In place of a shell that waits for the service, the service.
    let mut command =
        shell(dir.path(), &run.replace(shown, &url).replace(COMMAND, &format!("exec {COMMAND}")));
    command.envs(CHEAP).envs(["HTTP_PORT", "GRPC_PORT", "ADMIN_PORT"].map(|name| (name, "0")));
    let mut service = Program::start(command.env("DRAIN_DELAY", "0ms"));
    service.stderr.with("\"serving\"").await;
    assert_eq!(service.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn a_platform_takes_the_file_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let file = blocks("One service on PostgreSQL", "toml").next().expect("it shows one");
    assert!(file.contains("50051"), "{file}");
    // The port that it shows may be taken.
    std::fs::write(dir.path().join("flotilla.toml"), file.replace("50051", "0")).unwrap();
    let running = Running::started(dir.path(), &mut flotilla(dir.path(), &["up"])).await;
    assert_eq!(running.program.code_after("TERM").await, Some(0));
}

#[tokio::test]
async fn the_settings_that_it_names_are_those_of_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let (_, help, _) = told(&mut flotilla(dir.path(), &["run", "user-service", "--help"])).await;
    let is_setting =
        |word: &&str| word.contains('_') && word.chars().all(|it| it == '_' || it.is_ascii_uppercase());
    let named: Vec<&str> =
        README.split(|it: char| it != '_' && !it.is_alphanumeric()).filter(is_setting).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(help.contains(&format!(" {name}")), "the README names {name}, which is no setting");
    }
}

#[tokio::test]
async fn the_exit_codes_that_it_names_are_those_of_the_help() {
    let dir = tempfile::tempdir().unwrap();
    let (_, help, _) = told(&mut flotilla(dir.path(), &["--help"])).await;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        let row = README
            .replace('`', "")
            .lines()
            .find(|row| row.starts_with(&format!("| {code} |")))
            .map(str::to_owned);
        assert!(row.as_deref().is_some_and(|row| row.contains(meaning.trim())), "{line}: {row:?}");
    }
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

/// The ports that the README shows are nobody's.
fn with_the_ports_of(running: &Running, command: &str) -> String {
    let ports =
        [(":40001", running.addrs.http), (":40002", running.addrs.grpc), (":40003", running.addrs.admin)];
    ports
        .into_iter()
        .fold(command.to_owned(), |text, (shown, addr)| text.replace(shown, &format!(":{}", addr.port())))
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

/// Ports, ids and times by what they are, and blanks one by one.
fn without_chance(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_matches(['"', ',']);
        let kind = match bare {
            _ if bare.starts_with("127.0.0.1:") => "<address>",
            _ if bare.parse::<UserId>().is_ok() => "<id>",
            _ if bare.parse::<Timestamp>().is_ok() => "<time>",
            other => other,
        };
        word.replace(bare, kind)
    });
    words.collect::<Vec<_>>().join(" ")
}
