use super::finding::Finding;
use super::tree::Tree;

/// Past this a concept inside the file wants a name and a file of its own.
const FILE: usize = 600;
/// A `lib.rs` is a table of contents.
const CONTENTS: usize = 80;

/// No file is too long to read in one go. (The length of functions is clippy's.)
pub(crate) fn files_are_small(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        let lines = text.lines().count();
        let (limit, right) = if path == "lib.rs" || path.ends_with("/lib.rs") {
            (CONTENTS, "lib.rs holds the crate's documentation and its modules in reading order")
        } else {
            (FILE, "name a concept inside it and give it a file")
        };
        if lines > limit {
            findings.push(Finding::new(path, format!("{lines} lines, at most {limit}"), right).at(limit + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    #[test]
    fn long_files_are_found_and_a_table_of_contents_is_short() {
        let (limit, over) = ("\n".repeat(600), "\n".repeat(601));
        let (contents, too_much) = ("\n".repeat(80), "\n".repeat(81));
        let files: [(&str, &str); 4] =
            [("a.rs", &limit), ("b.rs", &over), ("c/src/lib.rs", &contents), ("d/src/lib.rs", &too_much)];
        assert_eq!(
            shown(files_are_small, &files),
            [
                "b.rs:601: 601 lines, at most 600; name a concept inside it and give it a file",
                "d/src/lib.rs:81: 81 lines, at most 80; \
                 lib.rs holds the crate's documentation and its modules in reading order",
            ]
        );
    }
}
