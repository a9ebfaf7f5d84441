use std::collections::BTreeMap;

use toml::Value;

use super::finding::Finding;
use super::manifest::Manifest;
use super::tree::Tree;

/// The numbers of ARCHITECTURE.md. A crate that is not among them has its folder's number.
const LAYERS: &[(&str, i64)] = &[
    ("types", 0),
    ("runtime", 1),
    ("proto", 1),
    ("telemetry", 2),
    ("database", 3),
    ("service-auth", 3),
    ("discovery", 3),
    ("resilience", 3),
    ("service-client", 4),
    ("chassis", 5),
    ("flotilla", 7),
    ("benches", 8),
    ("xtask", 8),
];
const FOLDERS: &[(&str, i64)] = &[("services/", 6), ("tests/", 8)];

/// A crate knows only what lies strictly below it; siblings do not know each other.
pub(crate) fn dependencies_go_down(tree: &Tree) -> Vec<Finding> {
    let manifests = Manifest::all(tree);
    let by_folder: BTreeMap<&str, &Manifest<'_>> = manifests.iter().map(|m| (m.folder(), m)).collect();
    let shared = workspace_paths(tree);
    let mut findings = Vec::new();
    for from in &manifests {
        let Some(own) = from.layer() else { continue };
        for (name, spec) in from.dependencies() {
            let Some(folder) = folder_of(from, name, spec, &shared) else { continue };
            let Some(to) = by_folder.get(folder.as_str()) else { continue };
            if let Some(theirs) = to.layer().filter(|&theirs| theirs >= own) {
                let wrong = format!("{} in layer {own} knows {} in layer {theirs}", from.name(), to.name());
                findings.push(
                    Finding::new(from.path, wrong, "a dependency goes to a lower layer")
                        .at(from.line_of(name)),
                );
            }
        }
    }
    findings
}

/// A crate's layer is written in it, and is the one that the documents tell.
pub(crate) fn numbers_are_the_designs(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in Manifest::all(tree) {
        let Some(layer) = manifest.layer() else {
            let wrong = format!("{} has no layer", manifest.name());
            findings.push(Finding::new(manifest.path, wrong, "`[package.metadata] layer = N`"));
            continue;
        };
        let listed = LAYERS.iter().find(|(name, _)| *name == manifest.name());
        let known = listed.or_else(|| FOLDERS.iter().find(|(folder, _)| manifest.path.starts_with(folder)));
        let Some((_, expected)) = known else {
            let wrong = format!("nobody knows the layer of {}", manifest.name());
            findings.push(Finding::new(manifest.path, wrong, "add it to the map and to xtask's table"));
            continue;
        };
        if layer != *expected {
            let wrong = format!("{} is in layer {layer} and belongs in {expected}", manifest.name());
            let line = manifest.line_of("layer");
            findings.push(Finding::new(manifest.path, wrong, "the number is ARCHITECTURE.md's").at(line));
        }
    }
    findings
}

/// The folders that the root manifest's `[workspace.dependencies]` name.
fn workspace_paths(tree: &Tree) -> BTreeMap<String, String> {
    let root: Option<toml::Table> = tree.text("Cargo.toml").and_then(|text| text.parse().ok());
    let shared = root.as_ref().and_then(|root| root.get("workspace")?.get("dependencies")?.as_table());
    let paths = shared.into_iter().flatten();
    paths.filter_map(|(name, spec)| Some((name.clone(), spec.get("path")?.as_str()?.to_owned()))).collect()
}

/// The folder in the tree that a dependency means; none for what comes from a registry.
fn folder_of(
    from: &Manifest<'_>,
    name: &str,
    spec: &Value,
    shared: &BTreeMap<String, String>,
) -> Option<String> {
    if spec.get("workspace").and_then(Value::as_bool) == Some(true) {
        return shared.get(name).cloned();
    }
    let mut folder: Vec<&str> = from.folder().split('/').collect();
    for part in spec.get("path")?.as_str()?.split('/') {
        if part == ".." {
            folder.pop();
        } else if part != "." {
            folder.push(part);
        }
    }
    Some(folder.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    const ROOT: &str =
        "[workspace.dependencies]\ntypes = { path = 'shared/types' }\nproto = { path = 'shared/proto' }\n";

    fn manifest(name: &str, layer: i64, rest: &str) -> String {
        format!("[package]\nname = '{name}'\n[package.metadata]\nlayer = {layer}\n{rest}")
    }

    fn found(rest: &str) -> Vec<String> {
        let (types, proto) = (manifest("types", 0, ""), manifest("proto", 1, ""));
        let runtime = manifest("runtime", 1, rest);
        shown(
            dependencies_go_down,
            &[
                ("Cargo.toml", ROOT),
                ("shared/types/Cargo.toml", &types),
                ("shared/proto/Cargo.toml", &proto),
                ("shared/runtime/Cargo.toml", &runtime),
            ],
        )
    }

    const FOUND: &str = "runtime in layer 1 knows proto in layer 1; a dependency goes to a lower layer";

    #[test]
    fn a_dependency_on_a_lower_layer_or_on_a_registry_is_fine() {
        assert_eq!(found("[dependencies]\ntypes.workspace = true\nserde = '1'\n"), [""; 0]);
    }

    #[test]
    fn a_dependency_on_a_sibling_is_found_in_every_kind_of_section() {
        for section in
            ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
        {
            let rest = format!("[{section}]\nproto.workspace = true\n");
            assert_eq!(found(&rest), [format!("shared/runtime/Cargo.toml:6: {FOUND}")], "{section}");
        }
    }

    #[test]
    fn a_dependency_written_as_a_path_is_seen_too() {
        let rest = "[dependencies]\ntypes = { path = '../types' }\nother = { path = '../proto', package = 'proto' }\n";
        assert_eq!(found(rest), [format!("shared/runtime/Cargo.toml:7: {FOUND}")]);
    }

    #[test]
    fn a_missing_a_wrong_and_an_unknown_layer_are_found() {
        let (wrong, service) = (manifest("runtime", 2, ""), manifest("cart-service", 6, ""));
        let unknown = manifest("billing", 4, "");
        assert_eq!(
            shown(
                numbers_are_the_designs,
                &[
                    ("services/cart-service/Cargo.toml", &service),
                    ("shared/billing/Cargo.toml", &unknown),
                    ("shared/runtime/Cargo.toml", &wrong),
                    ("shared/types/Cargo.toml", "[package]\nname = 'types'\n"),
                ]
            ),
            [
                "shared/billing/Cargo.toml:1: nobody knows the layer of billing; add it to the map and to xtask's table",
                "shared/runtime/Cargo.toml:4: runtime is in layer 2 and belongs in 1; the number is ARCHITECTURE.md's",
                "shared/types/Cargo.toml:1: types has no layer; `[package.metadata] layer = N`",
            ]
        );
    }
}
