use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// One broken rule: a diff with two lines above it.
#[derive(Debug)]
pub(crate) struct Patch {
    /// Where it lies.
    pub(crate) file: PathBuf,
    /// The rule that it breaks.
    pub(crate) rule: String,
    /// The test that must go red.
    pub(crate) red: Red,
}

/// A command that runs one test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Red {
    /// Behind `cargo`.
    pub(crate) args: Vec<String>,
    /// The last part of the test's path.
    pub(crate) test: String,
}

impl Patch {
    /// The patches of `folder` whose name contains `only`, in the order of their names.
    pub(crate) fn all(folder: &Path, only: Option<&str>) -> Result<Vec<Self>> {
        let mut patches = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let file = entry?.path();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".patch") && only.is_none_or(|only| name.contains(only)) {
                patches.push(Self::read(&file)?);
            }
        }
        patches.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(patches)
    }

    pub(crate) fn name(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        Self::parse(file, &text).with_context(|| format!("{} is no seeded patch", file.display()))
    }

    fn parse(file: &Path, text: &str) -> Result<Self> {
        let header = |key: &str| {
            let lines =
                text.lines().take_while(|line| !line.starts_with("--- ") && !line.starts_with("diff "));
            lines.filter_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned()).next()
        };
        let rule = header("Rule:").context("it does not begin with `Rule: …`")?;
        let red = header("Red:").context("it has no line `Red: cargo test -p CRATE TESTNAME`")?;
        Ok(Self { file: file.into(), rule, red: Red::parse(&red)? })
    }
}

impl Red {
    fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", "test", options @ .., test] if !options.is_empty() && !test.starts_with('-') => {
                Ok(Self {
                    args: words[1..].iter().map(|&word| word.to_owned()).collect(),
                    test: (*test).to_owned(),
                })
            }
            _ => bail!("`{line}` is not of the form `cargo test -p CRATE TESTNAME`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_its_rule_and_the_test_that_must_go_red() -> Result<()> {
        let text =
            "Rule: money is conserved\nRed: cargo test -p types --lib sums_are_exact\n\n--- a/x\n+++ b/x\n";
        let patch = Patch::parse(Path::new("tests/seeded/money.patch"), text)?;
        assert_eq!((patch.name().as_str(), patch.rule.as_str()), ("money", "money is conserved"));
        assert_eq!(patch.red.args.join(" "), "test -p types --lib sums_are_exact");
        assert_eq!(patch.red.test, "sums_are_exact");
        Ok(())
    }

    #[test]
    fn a_header_that_says_too_little_is_refused() {
        let refused = |text: &str| {
            Patch::parse(Path::new("x.patch"), text).map(drop).map_err(|e| e.root_cause().to_string())
        };
        assert_eq!(refused("--- a/x\n"), Err("it does not begin with `Rule: …`".to_owned()));
        assert_eq!(
            refused("Rule: r\n--- a/x\nRed: cargo test -p a b\n"),
            Err("it has no line `Red: cargo test -p CRATE TESTNAME`".to_owned())
        );
        for line in ["cargo test", "cargo test --workspace", "cargo run -p a b", "cargo test name"] {
            assert_eq!(
                refused(&format!("Rule: r\nRed: {line}\n")),
                Err(format!("`{line}` is not of the form `cargo test -p CRATE TESTNAME`"))
            );
        }
    }
}
