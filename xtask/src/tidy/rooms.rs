use super::finding::Finding;
use super::tree::Tree;

/// The files that every service has, so that whoever knows one service knows all.
const ROOMS: &[&str] =
    &["src/main.rs", "src/lib.rs", "src/config.rs", "src/store.rs", "src/http.rs", "src/grpc.rs"];
const POSTGRES: &str = "migrations/postgres";
const SQLITE: &str = "migrations/sqlite";

/// Every service has the same rooms, and each migration a text for both databases.
pub(crate) fn services_have_the_same_rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in tree.entries("services") {
        let manifest = format!("services/{service}/Cargo.toml");
        for room in ROOMS.iter().filter(|room| !tree.has_file(&format!("services/{service}/{room}"))) {
            let wrong = format!("{service} has no {room}");
            findings.push(Finding::new(&manifest, wrong, "every service has the same rooms"));
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
        let rooms = ROOMS.iter().filter(|room| **room != without).chain(migrations);
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
