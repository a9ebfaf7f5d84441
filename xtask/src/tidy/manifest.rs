use toml::{Table, Value};

use super::finding::Finding;
use super::tree::Tree;

/// A crate's Cargo.toml.
pub(crate) struct Manifest<'a> {
    /// Where it lies.
    pub(crate) path: &'a str,
    text: &'a str,
    table: Table,
}

/// Where dependencies stand in a manifest, also below `[target.'cfg(…)']`.
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

impl<'a> Manifest<'a> {
    /// Every crate's manifest. One that does not parse is cargo's to complain about.
    pub(crate) fn all(tree: &'a Tree) -> Vec<Self> {
        let manifests = tree.texts().filter(|(path, _)| *path == FILE || path.ends_with("/Cargo.toml"));
        let parsed =
            manifests.filter_map(|(path, text)| Some(Self { path, text, table: text.parse().ok()? }));
        parsed.filter(|manifest| manifest.table.contains_key("package")).collect()
    }

    /// The folder of the crate, relative to the root.
    pub(crate) fn folder(&self) -> &'a str {
        self.path.strip_suffix(FILE).unwrap_or(self.path).trim_end_matches('/')
    }

    pub(crate) fn name(&self) -> &str {
        self.at(&["package", "name"]).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn layer(&self) -> Option<i64> {
        self.at(&["package", "metadata", "layer"])?.as_integer()
    }

    /// Name and specification of each dependency of any kind.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = (&str, &Value)> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let places = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
        let sections =
            places.chain([&self.table]).flat_map(|place| SECTIONS.map(|section| place.get(section)));
        sections.flatten().filter_map(Value::as_table).flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// The line that begins with `key`, or the first.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        let is_key = |line: &str| {
            line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.', '=']) || rest.is_empty())
        };
        self.text.lines().position(is_key).map_or(1, |index| index + 1)
    }

    fn at(&self, keys: &[&str]) -> Option<&Value> {
        let (first, rest) = keys.split_first()?;
        rest.iter().try_fold(self.table.get(*first)?, |value, key| value.get(key))
    }
}

const FILE: &str = "Cargo.toml";

/// A crate without the workspace's lints is a crate without rules.
pub(crate) fn lints_are_the_workspaces(tree: &Tree) -> Vec<Finding> {
    let manifests = Manifest::all(tree).into_iter();
    let without = manifests
        .filter(|manifest| manifest.at(&["lints", "workspace"]).and_then(Value::as_bool) != Some(true));
    without
        .map(|manifest| Finding::new(manifest.path, "the lints are its own", "`[lints] workspace = true`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    #[test]
    fn a_crate_without_the_workspaces_lints_is_found() {
        let good = "[package]\nname = 'types'\n[lints]\nworkspace = true\n";
        let bad = "[package]\nname = 'types'\n";
        assert_eq!(shown(lints_are_the_workspaces, &[("a/Cargo.toml", good)]), [""; 0]);
        assert_eq!(
            shown(lints_are_the_workspaces, &[("a/Cargo.toml", bad)]),
            ["a/Cargo.toml:1: the lints are its own; `[lints] workspace = true`"]
        );
    }
}
