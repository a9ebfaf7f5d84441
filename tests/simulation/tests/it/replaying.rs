//! A seed decides everything. Each runs in a process of its own, as the driver does it.

use std::process::{Command, Output};

/// Unoptimised, a seed takes ten times as long.
const SEEDS: &str = if cfg!(debug_assertions) { "2" } else { "20" };

fn simulation(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_history_in_another_process_and_another_seed_another() {
    let output = simulation(&["--seeds", SEEDS, "--twice"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.ends_with("no violation, and every seed went the same way twice\n"), "{told}");
}

#[test]
fn a_wrong_command_line_is_refused() {
    let output = simulation(&["--seed", "1", "--twice"]);
    assert_eq!(output.status.code(), Some(2));
}
