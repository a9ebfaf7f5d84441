/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL 14 and later.
    Postgres,
    /// SQLite 3.
    Sqlite,
}

/// A statement's text: a constant, the same on both databases where a common form exists.
///
/// Being a constant rules out injection and lets a connection prepare each text once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sql {
    postgres: &'static str,
    sqlite: &'static str,
}

impl Sql {
    /// One text for both databases.
    ///
    /// Parameters are `$1` to `$n` and must first appear in that order: SQLite takes `$1` for a name and
    /// numbers names as they come. In a `const` a wrong order does not compile.
    pub const fn new(text: &'static str) -> Self {
        Self::per_dialect(text, text)
    }

    /// A text for each database, for the case that has no common form.
    #[expect(clippy::panic, reason = "evaluated by the compiler, where a panic is a compile error")]
    pub const fn per_dialect(postgres: &'static str, sqlite: &'static str) -> Self {
        if parameters(postgres).is_none() || parameters(sqlite).is_none() {
            panic!("parameters must first appear in the order $1, $2, …");
        }
        Self { postgres, sqlite }
    }

    /// The text for `dialect`.
    pub const fn text(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }
}

/// How many parameters `text` has, or nothing if they do not first appear in order. A `$n` inside a quoted
/// literal counts as one, which no statement of ours needs.
const fn parameters(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut seen) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'$' {
            at += 1;
            continue;
        }
        at += 1;
        let mut number = 0;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            number = number * 10 + (bytes[at] - b'0') as usize;
            at += 1;
        }
        if number == 0 || number > seen + 1 {
            return None;
        }
        if number == seen + 1 {
            seen = number;
        }
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_must_first_appear_in_order() {
        assert_eq!(parameters("SELECT 1"), Some(0));
        assert_eq!(parameters("UPDATE t SET a = $1 WHERE b = $2 AND a <> $1"), Some(2));
        assert_eq!(parameters("$1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11"), Some(11));
        for wrong in
            ["SELECT $2", "SELECT $1, $3", "SELECT $", "SELECT $0", "UPDATE t SET a = $2 WHERE b = $1"]
        {
            assert_eq!(parameters(wrong), None, "{wrong}");
        }
    }
}
