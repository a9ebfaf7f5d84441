use std::fmt;
use std::path::PathBuf;

use chassis::{Addrs, VERSION};
use types::ServiceName;

use crate::columns::Columns;

/// What `up` tells once everything serves.
pub(super) struct Welcome {
    pub(super) rows: Vec<Row>,
    /// Where the gateway is reached.
    pub(super) url: String,
    /// What there is to tell about the first operator.
    pub(super) first_operator: Option<String>,
    /// Where the operator's certificate is.
    pub(super) certificate: PathBuf,
}

/// Where a service listens and what it keeps its data in.
pub(super) struct Row {
    pub(super) service: ServiceName,
    pub(super) addrs: Addrs,
    /// Nothing for the gateway.
    pub(super) database: Option<String>,
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, url, first_operator, certificate } = self;
        write!(
            f,
            "flotilla {VERSION}\n\n{table}\nThe platform is at {url}. The first thing to try:\n\n{example}\n\n",
            table = table(rows),
            example = example(url)
        )?;
        if let Some(told) = first_operator {
            writeln!(f, "{told}")?;
        }
        writeln!(f, "The operator's certificate for mTLS is in {}.", certificate.display())?;
        writeln!(f, "Ctrl-C ends everything in order.")
    }
}

fn table(rows: &[Row]) -> Columns<5> {
    let mut columns = Columns::under(["SERVICE", "HTTP (mTLS)", "GRPC (mTLS)", "ADMIN", "DATABASE"]);
    for Row { service, addrs: Addrs { http, grpc, admin }, database } in rows {
        // What has no data of its own is the gateway, whose HTTP is the public's.
        let http = database.as_ref().map_or_else(|| "public".to_owned(), |_| http.to_string());
        let database = database.clone().unwrap_or_else(|| "none".to_owned());
        columns.push([service.to_string(), http, grpc.to_string(), admin.to_string(), database]);
    }
    columns
}

fn example(url: &str) -> String {
    format!(
        "  curl {url}/auth/register -H 'content-type: application/json' \\\n    \
           -d '{{\"email\":\"ada@example.com\",\"name\":\"Ada\",\"password\":\"correct horse battery\"}}'"
    )
}
