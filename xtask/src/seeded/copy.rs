use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, tidy};

/// A copy of the working tree that patches may break, with build results of its own that outlive a run.
pub(crate) struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy up to date. A file that is the same already is left alone, so that cargo, which goes by
    /// times, does not build it again.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let work = root.join("target/seeded");
        let copy = Self { tree: work.join("tree"), target: work.join("target") };
        fs::create_dir_all(&copy.tree)?;
        let wanted = tidy::paths(root)?;
        for path in &wanted {
            let (from, to) = (root.join(path), copy.tree.join(path));
            let bytes = fs::read(&from).with_context(|| format!("cannot read {path}"))?;
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(to.parent().unwrap_or(&copy.tree))?;
                fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        copy.remove_others(&copy.tree, &wanted)?;
        Ok(copy)
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Applies a patch. Fails, with the tree as it was, when the code that it breaks has moved on.
    pub(crate) fn apply(&self, patch: &Path) -> Result<()> {
        self.git_apply(&[], patch)
    }

    /// Takes a patch back.
    pub(crate) fn revert(&self, patch: &Path) -> Result<()> {
        self.git_apply(&["--reverse"], patch)
    }

    fn git_apply(&self, options: &[&str], patch: &Path) -> Result<()> {
        let mut git = Command::new("git");
        // Inside of a repository git would read the paths of a patch from its root.
        git.env("GIT_CEILING_DIRECTORIES", self.tree.parent().unwrap_or(&self.tree));
        process::read(git.current_dir(&self.tree).arg("apply").args(options).arg(patch)).map(drop)
    }

    /// Removes what the tree no longer has. What npm installed is nobody's to compare.
    fn remove_others(&self, folder: &Path, wanted: &[String]) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name == "node_modules") {
                continue;
            }
            if path.is_dir() {
                self.remove_others(&path, wanted)?;
                continue;
            }
            let relative = path.strip_prefix(&self.tree)?.to_string_lossy();
            if !wanted.iter().any(|wanted| *wanted == relative) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_the_tree_and_takes_patches_on_and_off() -> Result<()> {
        let root = std::env::temp_dir().join(format!("flotilla-copy-{}", std::process::id()));
        let (kept, gone) = (root.join("src/kept.txt"), root.join("gone.txt"));
        fs::create_dir_all(root.join("src"))?;
        process::read(Command::new("git").current_dir(&root).args(["init", "--quiet"]))?;
        fs::write(root.join(".gitignore"), "/target\n")?;
        fs::write(&kept, "good\n")?;
        fs::write(&gone, "gone\n")?;
        let copied = Copy::of(&root)?.tree().join("src/kept.txt");
        let time = fs::metadata(&copied)?.modified()?;
        fs::remove_file(&gone)?;
        let copy = Copy::of(&root)?;
        assert!(!copy.tree().join("gone.txt").exists());
        assert_eq!(fs::metadata(&copied)?.modified()?, time);

        let patch = root.join("break.patch");
        let diff =
            "diff --git a/src/kept.txt b/src/kept.txt\n--- a/src/kept.txt\n+++ b/src/kept.txt\n@@ -1 +1 @@\n";
        fs::write(&patch, format!("Rule: r\nRed: r\n\n{diff}-good\n+bad\n"))?;
        copy.apply(&patch)?;
        assert_eq!(
            (fs::read_to_string(&copied)?, fs::read_to_string(&kept)?),
            ("bad\n".into(), "good\n".into())
        );
        assert!(copy.apply(&patch).is_err(), "it is applied already");
        copy.revert(&patch)?;
        assert_eq!(fs::read_to_string(&copied)?, "good\n");
        fs::remove_dir_all(root)?;
        Ok(())
    }
}
