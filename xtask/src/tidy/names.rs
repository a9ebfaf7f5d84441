use std::collections::BTreeSet;

use super::finding::Finding;
use super::manifest::Manifest;
use super::tree::Tree;

/// Rooms for whatever has no place: what is in them belongs beside its caller.
const BANNED: &[&str] = &["common", "util", "utils", "helper", "helpers", "manager", "misc"];
const RIGHT: &str = "name the noun, and put it beside its caller";

/// No crate, folder or file has a name that could hold anything.
pub(crate) fn names_say_what_is_inside(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for path in tree.paths() {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for place in ends.map(|end| &path[..end]) {
            let name = place.rsplit('/').next().unwrap_or(place);
            let stem = name.split('.').next().unwrap_or(name);
            if BANNED.contains(&stem) && seen.insert(place) {
                findings.push(Finding::new(path, format!("`{place}` could hold anything"), RIGHT));
            }
        }
    }
    for manifest in Manifest::all(tree) {
        let name = manifest.name();
        if name.split(['-', '_']).any(|word| BANNED.contains(&word)) {
            let wrong = format!("a crate `{name}` could hold anything");
            findings.push(Finding::new(manifest.path, wrong, RIGHT).at(manifest.line_of("name")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    #[test]
    fn rooms_for_anything_are_found_once_and_longer_words_are_not() {
        let files = [
            ("a/src/utils.rs", ""),
            ("b/src/helpers/one.rs", ""),
            ("b/src/helpers/two.rs", ""),
            ("c/src/common_passwords.txt", ""),
            ("shared/kit/Cargo.toml", "[package]\nname = 'flotilla-common'\n"),
        ];
        let all = shown(names_say_what_is_inside, &files);
        let right = "name the noun, and put it beside its caller";
        assert_eq!(
            all,
            [
                format!("a/src/utils.rs:1: `a/src/utils.rs` could hold anything; {right}"),
                format!("b/src/helpers/one.rs:1: `b/src/helpers` could hold anything; {right}"),
                format!("shared/kit/Cargo.toml:2: a crate `flotilla-common` could hold anything; {right}"),
            ]
        );
    }
}
