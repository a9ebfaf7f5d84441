//! A seed decides everything. Each runs in a process of its own, as the driver does it.

use std::process::{Command, Output};

/// Unoptimised, a seed takes ten times as long. `cargo xtask verify` runs more of them.
const SEEDS: &str = if cfg!(debug_assertions) { "1" } else { "20" };

fn simulation(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().unwrap()
}

#[test]
fn no_acknowledgement_is_broken_and_a_seed_goes_the_same_way_twice() {
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
