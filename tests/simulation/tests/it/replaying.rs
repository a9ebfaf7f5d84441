//! A seed decides everything. Each is run in processes of its own, as the driver does it.

use std::process::Command;

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_same_seed_gives_the_same_history_in_another_process() {
    let (is_right, told) = run(&["--seeds", "2", "--twice"]);
    assert!(is_right, "{told}");
    assert!(told.contains("no violation") && told.starts_with("4 runs"), "{told}");
}

#[test]
fn another_seed_gives_another_history() {
    let history = |seed| {
        let (is_right, told) = run(&["--seed", seed]);
        assert!(is_right, "{told}");
        told.split_once(", ").unwrap().0.split_once("history ").unwrap().1.to_owned()
    };
    assert_ne!(history("3"), history("4"));
}
