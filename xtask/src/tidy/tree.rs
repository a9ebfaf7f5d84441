use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// The repository's files as the rules see them: every path, and the text of those that are text.
pub(crate) struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// All that git has, or would have after an `add`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let files = paths(root)?.into_iter().map(|path| {
            let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
            Ok((path, String::from_utf8(bytes).ok()))
        });
        files.collect::<Result<_>>().map(Self)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|&(path, text)| (path.to_owned(), Some(text.to_owned()))).collect())
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The files that are text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The Rust files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The names of what lies directly in `folder`.
    pub(crate) fn entries(&self, folder: &str) -> BTreeSet<&str> {
        let inside = self.paths().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        inside.map(|rest| rest.split('/').next().unwrap_or(rest)).collect()
    }
}

/// The paths that git has, or would have after an `add`, and that are there.
pub(crate) fn paths(root: &Path) -> Result<Vec<String>> {
    let listed = process::read(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let there = listed.split_terminator('\0').filter(|path| root.join(path).is_file());
    Ok(there.map(str::to_owned).collect())
}
