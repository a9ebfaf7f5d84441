use super::finding::Finding;
use super::tree::Tree;

/// What cargo writes names the index that it resolved from, and a module of Go is called by an address.
const RESOLVED: &[&str] = &["Cargo.lock", "go.mod", "go.sum"];
const LATER: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
/// The folders at the root of somebody's machine.
const MACHINE: &[&str] = &["home", "root", "work", "Users"];
/// Hosts that packages and images come from, in their parts.
const REGISTRIES: &[(&str, &str)] = &[
    ("crates", "io"),
    ("npmjs", "org"),
    ("yarnpkg", "com"),
    ("docker", "io"),
    ("ghcr", "io"),
    ("quay", "io"),
    ("gcr", "io"),
    ("golang", "org"),
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("buf", "build"),
];

/// What is left for later is either done or not missed.
pub(crate) fn nothing_is_left_for_later(tree: &Tree) -> Vec<Finding> {
    let words = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .find(|word| LATER.contains(word))
            .map(|word| format!("`{word}`"))
    };
    lines_where(tree, "do it now, or say plainly what is not there", words)
}

/// A path that exists on one machine only does not belong in the repository.
pub(crate) fn nothing_depends_on_one_machine(tree: &Tree) -> Vec<Finding> {
    lines_where(tree, "a path relative to the repository, or one from the environment", |line| {
        MACHINE.iter().map(|folder| format!("/{folder}/")).find(|path| begins_a_path(line, path))
    })
}

fn begins_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(offset, _)| {
        !line[..offset].ends_with(|before: char| before.is_alphanumeric() || "/._-{}*)>$~".contains(before))
    })
}

/// Which registry packages come from is the business of the machine that fetches them.
pub(crate) fn nothing_names_a_registry(tree: &Tree) -> Vec<Finding> {
    lines_where(tree, "leave the host to the configuration of the client", |line| {
        REGISTRIES.iter().map(|(name, top)| format!("{name}.{top}")).find(|host| is_host_in(line, host))
    })
}

/// Whether `host` stands in `line` as part of an address, not as a word of a sentence.
fn is_host_in(line: &str, host: &str) -> bool {
    line.match_indices(host).any(|(offset, _)| {
        let before = line[..offset].rsplit(|c: char| !c.is_alphanumeric() && !".-".contains(c)).next();
        let start = offset - before.map_or(0, str::len);
        line[..start].ends_with("//") || line[offset + host.len()..].starts_with('/')
    })
}

fn is_resolved(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| RESOLVED.contains(&name))
}

/// A finding for each line of a text that `wrong` says something about.
fn lines_where(tree: &Tree, right: &'static str, wrong: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !is_resolved(path)) {
        for (index, line) in text.lines().enumerate() {
            if let Some(wrong) = wrong(line) {
                findings.push(Finding::new(path, wrong, right).at(index + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    #[test]
    fn what_is_left_for_later_is_found_in_any_text() {
        let text = format!("ready\n# {}: the rest\n", LATER[0]);
        assert_eq!(
            shown(nothing_is_left_for_later, &[("a.toml", &text), ("b.rs", "let todos = 1;")]),
            [format!("a.toml:2: `{}`; do it now, or say plainly what is not there", LATER[0])]
        );
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_relative_or_web_path_is_not() {
        let home = format!("/{}/", MACHINE[0]);
        let (path, web) =
            (format!("see \"{home}ada/notes\""), format!("test.example{home}page ..{home} $HOME{home}"));
        assert_eq!(
            shown(nothing_depends_on_one_machine, &[("a.md", &path), ("b.md", &web)]),
            [format!("a.md:1: {home}; a path relative to the repository, or one from the environment")]
        );
    }

    #[test]
    fn a_registry_is_found_in_an_address_and_not_in_a_sentence() {
        let address = format!("\"https://registry.npmjs.{}/x\"", "org");
        let image = format!("FROM docker.{}/library/debian", "io");
        let sentence = format!("published on crates.{} by us", "io");
        let right = "leave the host to the configuration of the client";
        assert_eq!(
            shown(
                nothing_names_a_registry,
                &[("a.json", &address), ("b", &image), ("c.md", &sentence), ("go/d/go.mod", &image)]
            ),
            [format!("a.json:1: npmjs.{}; {right}", "org"), format!("b:1: docker.{}; {right}", "io")]
        );
    }
}
