use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// Lines of a failed command's output that are shown: enough for the cause, not the whole log.
const TAIL_LINES: usize = 20;

/// A cargo command in `tree`, in an environment without what `cargo run` told *us*: build scripts that watch
/// such a variable would be run again each time.
pub(crate) fn cargo(tree: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(tree);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
        });
        if ours {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a machine reads what we say, and nobody sees that something was left out.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Runs a command that talks to the terminal itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line_of(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line_of(command));
    }
    Ok(())
}

/// Runs a command and gives its standard output; what it said is shown only when it failed.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", line_of(command)))?;
    if !output.status.success() {
        bail!("{} failed ({}){}", line_of(command), output.status, tail(&output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} did not answer in UTF-8", line_of(command)))
}

/// The command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

fn tail(output: &Output) -> String {
    tail_of(&(String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)))
}

/// The end of what a command said, each line on one of its own.
pub(crate) fn tail_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("\n    {line}")).collect()
}
