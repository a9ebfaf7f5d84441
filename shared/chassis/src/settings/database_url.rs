use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

/// What `DATABASE_URL` says.
#[derive(Debug)]
pub(super) enum DatabaseUrl {
    Postgres(PostgresUrl),
    Sqlite(PathBuf),
}

/// A database on a PostgreSQL server, as libpq writes it.
#[derive(Debug)]
pub(super) struct PostgresUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) database: String,
    pub(super) sslmode: Option<SslMode>,
    pub(super) sslrootcert: Option<String>,
}

/// libpq's `sslmode`, without those that fall back to plain text without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    Require,
    VerifyCa,
    VerifyFull,
}

impl DatabaseUrl {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return (!path.is_empty()).then(|| Self::Sqlite(path.into()));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        PostgresUrl::parse(rest).map(Self::Postgres)
    }
}

impl PostgresUrl {
    /// PostgreSQL's own.
    pub(super) const DEFAULT_PORT: u16 = 5432;

    fn parse(rest: &str) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/')?;
        // The last one, for those who forget to encode an `@` in a password.
        let (login, server) = authority.rsplit_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = split_port(server)?;
        let mut url = Self {
            host: host.to_owned(),
            port,
            user: decode(user)?,
            password: percent_decode_str(password).decode_utf8().ok()?.into_owned().into(),
            database: decode(database)?,
            sslmode: None,
            sslrootcert: None,
        };
        query.split('&').filter(|pair| !pair.is_empty()).try_for_each(|pair| url.set(pair)).map(|()| url)
    }

    fn set(&mut self, pair: &str) -> Option<()> {
        match pair.split_once('=')? {
            ("sslmode", mode) => self.sslmode = Some(SslMode::parse(mode)?),
            ("sslrootcert", file) => self.sslrootcert = Some(decode(file)?),
            _ => return None,
        }
        Some(())
    }
}

impl SslMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "disable" => Some(Self::Disable),
            "require" => Some(Self::Require),
            "verify-ca" => Some(Self::VerifyCa),
            "verify-full" => Some(Self::VerifyFull),
            _ => None,
        }
    }
}

/// A host and its port; an IPv6 address stands in brackets (RFC 3986).
fn split_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port = port.map_or(Some(PostgresUrl::DEFAULT_PORT), |port| port.parse().ok())?;
    (!host.is_empty()).then_some((host, port))
}

/// Percent-decoded text that must not be empty.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    (!decoded.is_empty()).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parts(text: &str) -> Option<String> {
        Some(match DatabaseUrl::parse(text)? {
            DatabaseUrl::Sqlite(path) => format!("sqlite {}", path.display()),
            DatabaseUrl::Postgres(url) => {
                let PostgresUrl { host, port, user, password, database, sslmode, sslrootcert } = url;
                let password = password.expose_secret();
                format!("{host} {port} {user} {password} {database} {sslmode:?} {sslrootcert:?}")
            }
        })
    }

    #[test]
    fn a_url_says_all_that_a_connection_needs() {
        let full = "postgres://ada:s%40crt@db.internal:6543/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem";
        let read = "db.internal 6543 ada s@crt shop Some(VerifyFull) Some(\"/etc/ca.pem\")";
        assert_eq!(parts(full).as_deref(), Some(read));
        assert_eq!(parts("postgresql://ada@[::1]/shop").as_deref(), Some("::1 5432 ada  shop None None"));
        assert_eq!(parts("sqlite:data/users.db").as_deref(), Some("sqlite data/users.db"));
    }

    #[test]
    fn a_url_that_leaves_something_out_or_says_too_much_is_refused() {
        let wrong = ["", "sqlite:", "mysql://a@b/c", "postgres://", "postgres://a@b", "postgres://a@b/"];
        let more =
            ["postgres://b/c", "postgres://a@/c", "postgres://a@b:x/c", "postgres://a@b/c?sslmode=prefer"];
        let rest =
            ["postgres://@b/c", "postgres://a@b/c?pool=3", "postgres://a@[::1/c", "postgres://%ff@b/c"];
        for text in wrong.into_iter().chain(more).chain(rest) {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
