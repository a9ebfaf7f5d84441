//! The settings of a service's database: one URL, or the parts in the names of the guide.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use database::{Config, Password, PostgresConfig, SqliteConfig, Timeouts, TlsMode};
use secrecy::{ExposeSecret as _, SecretString};

use super::Settings;
use super::database_url::{DatabaseUrl, PostgresUrl, SslMode};

const URL: &str = "postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:PATH";

/// Below a millisecond nothing is answered, above ten minutes nobody waits.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// A server's `max_connections` is 100 by default, and other replicas want some too.
const POOL: RangeInclusive<usize> = 1..=100;

/// More lanes than this only wait for each other's rows.
const LANES: RangeInclusive<usize> = 1..=16;

/// Where a service's data is, from `DATABASE_URL` or from `DB_HOST` and its companions, and the bounds of
/// its use.
pub fn database_config(settings: &mut Settings) -> Config {
    let url = database_url(settings);
    let tls = Tls::ask(settings);
    let pool = settings.number("DB_POOL_SIZE", PostgresConfig::DEFAULT_POOL, POOL);
    let lanes = settings.number("DB_LANES", PostgresConfig::DEFAULT_LANES, LANES);
    let timeouts = timeouts(settings);
    let config = match url {
        Some(DatabaseUrl::Postgres(url)) => {
            let tls = tls.decide(&url, settings);
            let PostgresUrl { host, port, user, password, database, .. } = url;
            let password = Password::new(password.expose_secret());
            Config::postgres(PostgresConfig { host, port, user, password, database, tls, pool, lanes })
        }
        Some(DatabaseUrl::Sqlite(path)) => Config::sqlite(SqliteConfig::at(path)),
        // What is wrong has been noted, so this is never opened.
        None => Config::sqlite(SqliteConfig::at("")),
    };
    Config { timeouts, ..config }
}

fn database_url(settings: &mut Settings) -> Option<DatabaseUrl> {
    let noted = settings.errors.len();
    let url = settings.secret_at("DATABASE_URL", URL);
    let parts = Parts::ask(settings);
    let given = Parts::NAMES.into_iter().filter(|name| settings.is_given(name));
    match (url, given.collect::<Vec<_>>().as_slice()) {
        (Some((url, place)), []) => {
            let read = DatabaseUrl::parse(url.expose_secret());
            settings.errors.extend(read.is_none().then(|| place.wrong(URL)));
            read
        }
        (Some((_, place)), parts) => {
            settings.errors.extend(parts.iter().map(|name| place.beside(name)));
            None
        }
        (None, []) => {
            if settings.errors.len() == noted {
                let right = format!("{URL}, or else DB_HOST, DB_USER, DB_PASSWORD and DB_NAME");
                settings.missing::<()>("DATABASE_URL", &right);
            }
            None
        }
        (None, _) => parts.require(settings),
    }
}

fn timeouts(settings: &mut Settings) -> Timeouts {
    let default = Timeouts::default();
    let mut timeout = |name, default| settings.duration(name, default, TIMEOUTS);
    Timeouts {
        connect: timeout("DB_CONNECT_TIMEOUT", default.connect),
        acquire: timeout("DB_ACQUIRE_TIMEOUT", default.acquire),
        statement: timeout("DB_STATEMENT_TIMEOUT", default.statement),
        lock: timeout("DB_LOCK_TIMEOUT", default.lock),
        idle_in_transaction: timeout("DB_IDLE_IN_TRANSACTION_TIMEOUT", default.idle_in_transaction),
        migration: timeout("DB_MIGRATION_TIMEOUT", default.migration),
    }
}

/// The parts that say together what the URL says alone.
struct Parts {
    host: Option<String>,
    port: u16,
    user: Option<String>,
    password: Option<SecretString>,
    database: Option<String>,
}

impl Parts {
    const NAMES: [&str; 6] = ["DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_PASSWORD_FILE", "DB_NAME"];

    const HOST: &str = "the database server's name or address";
    const USER: &str = "the role to log in as";
    const PASSWORD: &str = "the role's password";
    const DATABASE: &str = "the database's name";

    fn ask(settings: &mut Settings) -> Self {
        Self {
            host: settings.optional_text("DB_HOST", Self::HOST),
            port: settings.number("DB_PORT", PostgresUrl::DEFAULT_PORT, 1..=u16::MAX),
            user: settings.optional_text("DB_USER", Self::USER),
            password: settings.secret("DB_PASSWORD", Self::PASSWORD),
            database: settings.optional_text("DB_NAME", Self::DATABASE),
        }
    }

    fn require(self, settings: &mut Settings) -> Option<DatabaseUrl> {
        let password_given = settings.is_given("DB_PASSWORD") || settings.is_given("DB_PASSWORD_FILE");
        let required = [
            ("DB_HOST", self.host.is_some(), Self::HOST),
            ("DB_USER", self.user.is_some(), Self::USER),
            ("DB_PASSWORD", password_given, Self::PASSWORD),
            ("DB_NAME", self.database.is_some(), Self::DATABASE),
        ];
        for (name, _, right) in required.into_iter().filter(|(_, given, _)| !given) {
            settings.missing::<()>(name, right);
        }
        Some(DatabaseUrl::Postgres(PostgresUrl {
            host: self.host?,
            port: self.port,
            user: self.user?,
            password: self.password?,
            database: self.database?,
            sslmode: None,
            sslrootcert: None,
        }))
    }
}

/// What the settings say about encryption; a URL may say it too.
struct Tls {
    mode: Option<SslMode>,
    roots: Option<String>,
}

impl Tls {
    const MODES: &str = "disable, require, verify-ca or verify-full";
    const ROOTS: &str = "a PEM file with the authority that the database's certificate comes from";

    fn ask(settings: &mut Settings) -> Self {
        Self {
            mode: settings.optional("DB_SSLMODE", Self::MODES, SslMode::parse),
            roots: settings.optional_text("DB_SSLROOTCERT", Self::ROOTS),
        }
    }

    /// Full verification, unless somebody says otherwise or the server is on this very machine.
    fn decide(self, url: &PostgresUrl, settings: &mut Settings) -> TlsMode {
        self.refuse_twice(url, settings);
        let default = if is_loopback(&url.host) { SslMode::Disable } else { SslMode::VerifyFull };
        let roots = url.sslrootcert.clone().or(self.roots);
        let verified = match url.sslmode.or(self.mode).unwrap_or(default) {
            SslMode::Disable => return TlsMode::Disable,
            SslMode::Require => return TlsMode::Require,
            SslMode::VerifyCa => TlsMode::VerifyCa,
            SslMode::VerifyFull => TlsMode::VerifyFull,
        };
        let roots = roots.unwrap_or_else(|| {
            let right = format!("{}, or else DB_SSLMODE must be require or disable", Self::ROOTS);
            settings.missing("DB_SSLROOTCERT", &right)
        });
        verified(roots.into())
    }

    fn refuse_twice(&self, url: &PostgresUrl, settings: &mut Settings) {
        let mode = ("DB_SSLMODE", self.mode.is_some() && url.sslmode.is_some());
        let roots = ("DB_SSLROOTCERT", self.roots.is_some() && url.sslrootcert.is_some());
        for (name, _) in [mode, roots].into_iter().filter(|(_, twice)| *twice) {
            settings.reject(name, "left out where DATABASE_URL says it");
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
