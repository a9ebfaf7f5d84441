//! What the README shows is what happens.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use types::{Timestamp, UserId};

use crate::program::{flotilla, told};
use crate::together::Running;

const README: &str = include_str!("../../../README.md");

/// How the README starts the platform, and the example.
const START: &str = "cargo run --release";
const EXAMPLE: &str = "cargo run --release --example create-user --";

#[tokio::test]
async fn its_commands_have_the_answers_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let mut shown = commands_with_answers();
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

/// The commands that are followed by their answer.
fn commands_with_answers() -> impl Iterator<Item = (&'static str, &'static str)> {
    README.split("```sh\n").skip(1).filter_map(|rest| {
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

/// The command as a user types it, except that the example is built already and is not built again.
fn shell(dir: &Path, command: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let example: PathBuf = tests.parent().unwrap().with_file_name("examples").join("create-user");
    assert!(example.exists(), "{} comes with `cargo test -p flotilla`", example.display());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.replace(EXAMPLE, &example.display().to_string())).current_dir(dir);
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
