//! The rules that neither the compiler nor clippy knows. Each is a function of the [`Tree`] to its findings, so
//! that all of them are reported together.

mod docs;
mod finding;
mod layers;
mod manifest;
mod names;
mod rooms;
mod sizes;
mod source;
mod text;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use finding::Finding;
use tree::Tree;
pub(crate) use tree::paths;

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    manifest::lints_are_the_workspaces,
    layers::dependencies_go_down,
    layers::numbers_are_the_designs,
    sizes::files_are_small,
    names::names_say_what_is_inside,
    rooms::services_have_the_same_rooms,
    source::errors_are_typed,
    source::lints_are_expected_not_allowed,
    source::tests_wait_for_conditions,
    text::nothing_is_left_for_later,
    text::nothing_depends_on_one_machine,
    text::nothing_names_a_registry,
    docs::named_paths_exist,
];

pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    check(root).map(|()| ExitCode::SUCCESS)
}

/// Prints all findings; fails when there are some.
pub(crate) fn check(root: &Path) -> Result<()> {
    let findings = findings(&Tree::read(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(()) } else { bail!("{} findings", findings.len()) }
}

/// What every rule finds, by path.
fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

/// Each finding as a person reads it.
#[cfg(test)]
fn shown(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files)).iter().map(ToString::to_string).collect()
}
