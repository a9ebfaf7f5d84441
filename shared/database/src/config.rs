use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which database a service uses, and its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the data is.
    pub backend: Backend,
    /// How long each thing may take.
    pub timeouts: Timeouts,
}

/// Where the data is.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A PostgreSQL server.
    Postgres(PostgresConfig),
    /// A SQLite file.
    Sqlite(SqliteConfig),
}

/// A database on a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// The database's name.
    pub database: String,
    /// Whether and how the connection is encrypted.
    pub tls: TlsMode,
    /// Connections for reading, at the most.
    pub pool: usize,
    /// Connections that write groups; batches of one key always take the same.
    pub lanes: usize,
}

impl PostgresConfig {
    /// Enough readers to keep a few of the server's processors busy; more only queue inside the server.
    pub const DEFAULT_POOL: usize = 8;
    /// One lane already fills its groups, and a second one can only wait for the first one's rows.
    pub const DEFAULT_LANES: usize = 1;
}

/// A password, which no log and no error shows.
#[derive(Clone, Default)]
pub struct Password(String);

impl Password {
    /// Takes the secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret, for whoever logs in with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Whether and how a connection to PostgreSQL is encrypted, in libpq's words. There is no `prefer`: it
/// falls back to plain text without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text: for loopback and for networks that encrypt by themselves.
    Disable,
    /// Encrypted, whoever the server is.
    Require,
    /// The server's certificate comes from an authority in this PEM file.
    VerifyCa(PathBuf),
    /// That, and it is made out to the host's name.
    VerifyFull(PathBuf),
}

/// A SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file; it is made where it is missing.
    pub path: PathBuf,
    /// The registered VFS to reach it through; the operating system's where none is named.
    pub vfs: Option<String>,
    /// Connections for reading.
    pub readers: usize,
}

impl SqliteConfig {
    /// As many as a small machine has processors: a read never waits for a disk once the file is cached.
    pub const DEFAULT_READERS: usize = 2;

    /// The file at `path`, with the defaults.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), vfs: None, readers: Self::DEFAULT_READERS }
    }
}

/// How long each thing may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Reaching the server and logging in.
    pub connect: Duration,
    /// Waiting for a free connection of the pool.
    pub acquire: Duration,
    /// One statement.
    pub statement: Duration,
    /// Waiting for a row that another transaction holds.
    pub lock: Duration,
    /// A transaction of which nobody asks anything, as one whose program is paused.
    pub idle_in_transaction: Duration,
    /// A migration's statement, which may rewrite a table.
    pub migration: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // A server that is up answers in milliseconds; a dead address is given up before a caller is.
            connect: Duration::from_secs(3),
            acquire: Duration::from_secs(2),
            // Every hot query goes by an index; what takes longer is a fault, and must not hold a connection.
            statement: Duration::from_secs(5),
            // Shorter than PostgreSQL's deadlock_timeout (1 s), so that a deadlock costs this and not that.
            lock: Duration::from_millis(250),
            // Longer than a transaction's own bound of a second, so that it only ends abandoned ones.
            idle_in_transaction: Duration::from_secs(5),
            migration: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// A PostgreSQL database with the default bounds.
    pub fn postgres(postgres: PostgresConfig) -> Self {
        Self { backend: Backend::Postgres(postgres), timeouts: Timeouts::default() }
    }

    /// A SQLite file with the default bounds.
    pub fn sqlite(sqlite: SqliteConfig) -> Self {
        Self { backend: Backend::Sqlite(sqlite), timeouts: Timeouts::default() }
    }
}

impl fmt::Display for Backend {
    /// Where the data is, without secrets: for people and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(at) => write!(f, "postgres://{}@{}:{}/{}", at.user, at.host, at.port, at.database),
            Self::Sqlite(at) => write!(f, "sqlite:{}", at.path.display()),
        }
    }
}
