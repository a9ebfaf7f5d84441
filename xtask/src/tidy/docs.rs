use super::finding::Finding;
use super::tree::Tree;

/// What a name may hold that stands for more than one path, or for none that is in the tree.
const PLACEHOLDER: &[char] = &['*', '{', '}', '<', '>', '$', '…', ':', '=', '@'];

/// A document that names a file names one that is there.
pub(crate) fn named_paths_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (document, text) in tree.texts().filter(|(path, _)| is_document(path)) {
        for (line, name) in quoted(text).filter(|(_, name)| is_path(tree, name) && !exists(tree, name)) {
            findings.push(
                Finding::new(document, format!("`{name}` is not there"), "name a path that exists").at(line),
            );
        }
    }
    findings
}

fn is_document(path: &str) -> bool {
    matches!(path, "README.md" | "ARCHITECTURE.md") || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// What stands between backticks, outside of fenced blocks, with its line.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let prose = text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    prose.flat_map(|(index, line)| line.split('`').skip(1).step_by(2).map(move |quoted| (index + 1, quoted)))
}

/// Whether a quoted word means a file or folder of the tree: it begins in one of the root's folders, ends like a
/// folder, or ends like a file of ours.
fn is_path(tree: &Tree, name: &str) -> bool {
    if name.starts_with('/') || name.contains(char::is_whitespace) || name.contains(PLACEHOLDER) {
        return false;
    }
    let Some((first, rest)) = name.split_once('/') else { return name.ends_with(".md") };
    let ours = [".rs", ".toml", ".md", ".sql", ".proto", ".yaml", ".sh", ".patch"];
    rest.is_empty() || ours.iter().any(|end| rest.ends_with(end)) || is_root_folder(tree, first)
}

fn is_root_folder(tree: &Tree, name: &str) -> bool {
    tree.paths().any(|path| path.split_once('/').is_some_and(|(first, _)| first == name))
}

/// A path from the root, or the end of one: each service has its `src/config.rs`.
fn exists(tree: &Tree, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    let (file, folder) = (format!("/{name}"), format!("/{name}/"));
    tree.paths().map(|path| format!("/{path}")).any(|path| path.ends_with(&file) || path.contains(&folder))
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let files = [("README.md", text), ("shared/types/src/id.rs", ""), ("docs/run.md", "")];
        shown(named_paths_exist, &files)
    }

    #[test]
    fn paths_that_are_there_are_fine_and_so_is_what_is_no_path() {
        assert_eq!(
            found(
                "`shared/types`, `shared/`, `src/id.rs`, `run.md`, `docs/*.md`, `/metrics`, `cargo run`, `text/html`"
            ),
            [""; 0]
        );
        assert_eq!(found("```sh\ncat `shared/gone`\n```\n"), [""; 0]);
    }

    #[test]
    fn a_path_that_is_gone_is_found_on_its_line() {
        for gone in ["shared/gone", "shared/types/src/money.rs", "src/money.rs", "console/", "STYLE.md"] {
            assert_eq!(
                found(&format!("one\ntwo `{gone}`\n")),
                [format!("README.md:2: `{gone}` is not there; name a path that exists")]
            );
        }
    }
}
