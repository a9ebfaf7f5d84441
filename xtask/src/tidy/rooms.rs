use super::finding::Finding;
use super::tree::Tree;

/// The files that every service has, so that whoever knows one service knows all.
const ROOMS: &[&str] = &["src/main.rs", "src/lib.rs", "src/config.rs", "src/http.rs"];
/// What a service has because it keeps something and is called by others.
const OWN_ROOMS: &[&str] = &["src/store.rs", "src/grpc.rs"];
/// The one that passes on what others answer: it keeps nothing, and has no calls of its own.
const GATEWAY: &str = "api-gateway";
const POSTGRES: &str = "migrations/postgres";
const SQLITE: &str = "migrations/sqlite";

/// Every service has the same rooms, and each migration a text for both databases.
pub(crate) fn services_have_the_same_rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in tree.entries("services") {
        let manifest = format!("services/{service}/Cargo.toml");
        let own = if service == GATEWAY { &[] } else { OWN_ROOMS };
        let missing =
            ROOMS.iter().chain(own).filter(|room| !tree.has_file(&format!("services/{service}/{room}")));
        for room in missing {
            let wrong = format!("{service} has no {room}");
            findings.push(Finding::new(&manifest, wrong, "every service has the same rooms"));
        }
        if service == GATEWAY {
            findings.extend(kept(tree, service, &manifest));
            continue;
        }
        for (here, there) in [(POSTGRES, SQLITE), (SQLITE, POSTGRES)] {
            if tree.entries(&format!("services/{service}/{here}")).is_empty() {
                let wrong = format!("{service} has no {here}");
                findings.push(Finding::new(&manifest, wrong, "every service has the same rooms"));
            }
            findings.extend(one_sided(tree, service, here, there));
        }
    }
    findings
}

/// A gateway that keeps something has become a service, and has a service's rooms.
fn kept(tree: &Tree, service: &str, manifest: &str) -> Option<Finding> {
    let keeps = !tree.entries(&format!("services/{service}/migrations")).is_empty()
        || tree.has_file(&format!("services/{service}/src/store.rs"));
    let right = "the gateway knows only what it is told after each start";
    keeps.then(|| Finding::new(manifest, format!("{service} keeps something"), right))
}

fn one_sided(tree: &Tree, service: &str, here: &str, there: &str) -> Vec<Finding> {
    let (own, other) = (format!("services/{service}/{here}"), format!("services/{service}/{there}"));
    let missing = tree.entries(&own).into_iter().filter(|file| !tree.has_file(&format!("{other}/{file}")));
    missing
        .map(|file| {
            let wrong = format!("it has no counterpart in {there}");
            Finding::new(&format!("{own}/{file}"), wrong, "a migration has a text for both databases")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    const BOTH: [&str; 2] = ["migrations/postgres/0001_a.sql", "migrations/sqlite/0001_a.sql"];

    fn service(without: &str, migrations: &[&'static str]) -> Vec<String> {
        let rooms = ROOMS.iter().chain(OWN_ROOMS).filter(|room| **room != without).chain(migrations);
        let files: Vec<String> = rooms.map(|room| format!("services/cart/{room}")).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "")).collect();
        shown(services_have_the_same_rooms, &files)
    }

    #[test]
    fn a_missing_room_is_found() {
        let right = "every service has the same rooms";
        assert_eq!(service("", &BOTH), [""; 0]);
        assert_eq!(
            service("src/store.rs", &BOTH),
            [format!("services/cart/Cargo.toml:1: cart has no src/store.rs; {right}")]
        );
        assert_eq!(
            service("", &[]),
            [
                format!("services/cart/Cargo.toml:1: cart has no migrations/postgres; {right}"),
                format!("services/cart/Cargo.toml:1: cart has no migrations/sqlite; {right}"),
            ]
        );
    }

    #[test]
    fn the_gateway_has_rooms_for_what_passes_through_and_none_to_keep_anything() {
        let gateway = |more: &[&'static str]| {
            let files: Vec<String> =
                ROOMS.iter().chain(more).map(|room| format!("services/api-gateway/{room}")).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "")).collect();
            shown(services_have_the_same_rooms, &files)
        };
        assert_eq!(gateway(&[]), [""; 0]);
        let kept = "services/api-gateway/Cargo.toml:1: api-gateway keeps something; \
                    the gateway knows only what it is told after each start";
        assert_eq!(gateway(&["src/store.rs"]), [kept]);
        assert_eq!(gateway(&BOTH), [kept]);
    }

    #[test]
    fn a_migration_for_one_database_alone_is_found_on_either_side() {
        let right = "a migration has a text for both databases";
        let file = |file: &str, there: &str| {
            format!("services/cart/migrations/{file}:1: it has no counterpart in migrations/{there}; {right}")
        };
        assert_eq!(
            service("", &["migrations/postgres/0001_a.sql", "migrations/sqlite/0002_b.sql"]),
            [file("postgres/0001_a.sql", "sqlite"), file("sqlite/0002_b.sql", "postgres")]
        );
    }
}
