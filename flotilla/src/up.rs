use std::error::Error;
use std::io::{self, Write as _};
use std::num::NonZero;

use chassis::{
    ConfigFile, Configure, Failure, Flags, Listeners, Platform, Service, Settings, Signals, Sources, StartError,
    Vars, finish_all,
};
use futures_util::future::try_join_all;
use runtime::Env;
use telemetry::Logs;
use tokio_util::sync::CancellationToken;
use types::ServiceName;

use crate::cli::Up;
use crate::data_dir::{DataDir, DataDirError};
use crate::table::{Row, Table};

const USER_SERVICE: ServiceName = ServiceName::new("user-service");

/// What `up` decides by itself: every engine is embedded, and ports are free ones, since services that share
/// a process cannot share the port that the environment names.
const DECIDED: [&str; 17] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
    "DB_NAME",
    "DB_SSLMODE",
    "DB_SSLROOTCERT",
    "BIND_ADDRESS",
    "HTTP_PORT",
    "GRPC_PORT",
    "ADMIN_PORT",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TLS_CA_FILE",
];
