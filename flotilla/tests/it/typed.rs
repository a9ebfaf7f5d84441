//! Passwords that are typed at a terminal.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::program::{Program, flotilla};
use crate::together::{PASSWORD, Running};

/// A terminal: the end that a person types at, and the end that a program has as its stdin.
fn terminal() -> (File, OwnedFd) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (person.into(), program)
}

fn shows_what_is_typed(terminal: &OwnedFd) -> bool {
    tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO)
}

fn adding(dir: &std::path::Path, terminal: &OwnedFd) -> Program {
    let mut command = flotilla(dir, &["operators", "add", "ada@example.com"]);
    Program::start_with(&mut command, Stdio::from(terminal.try_clone().unwrap()))
}

#[tokio::test]
async fn a_password_is_asked_for_twice_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let (mut person, terminal) = terminal();
    let mut program = adding(dir.path(), &terminal);
    program.stderr.asks("New password for ada@example.com: ").await;
    assert!(!shows_what_is_typed(&terminal));
    writeln!(person, "{PASSWORD}").unwrap();
    program.stderr.asks("The same again: ").await;
    writeln!(person, "{PASSWORD}").unwrap();
    assert_eq!(program.ends().await.code(), Some(0));
    assert!(shows_what_is_typed(&terminal));
    assert!(running.accounts().await.by_login("ada@example.com", PASSWORD).await.is_some());
}

#[tokio::test]
async fn two_passwords_that_differ_make_nobody_an_operator() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path()).await;
    let (mut person, terminal) = terminal();
    let mut program = adding(dir.path(), &terminal);
    program.stderr.asks("New password for ada@example.com: ").await;
    writeln!(person, "{PASSWORD}\nsomething else").unwrap();
    assert_eq!(program.ends().await.code(), Some(64));
    assert_eq!(program.stderr.whole().await.lines().last(), Some("flotilla: the two passwords differ"));
    assert_eq!(running.accounts().await.by_login("ada@example.com", PASSWORD).await, None);
}

#[tokio::test]
async fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let _running = Running::up(dir.path()).await;
    let (_person, terminal) = terminal();
    let mut program = adding(dir.path(), &terminal);
    program.stderr.asks("New password for ada@example.com: ").await;
    program.signal("INT").await;
    assert_eq!(program.ends().await.code(), Some(130));
    assert!(shows_what_is_typed(&terminal));
}
