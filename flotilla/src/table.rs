use std::fmt;

use chassis::Addrs;
use types::ServiceName;

use crate::columns::Columns;

/// What `up` tells at its start: where each service listens and what it keeps its data in.
pub(crate) struct Table(pub(crate) Vec<Row>);

pub(crate) struct Row {
    pub(crate) service: ServiceName,
    pub(crate) addrs: Addrs,
    pub(crate) database: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns = Columns::under(["SERVICE", "HTTP (mTLS)", "GRPC (mTLS)", "ADMIN", "DATABASE"]);
        for Row { service, addrs: Addrs { http, grpc, admin }, database } in &self.0 {
            let [http, grpc, admin] = [http, grpc, admin].map(ToString::to_string);
            columns.push([service.to_string(), http, grpc, admin, database.clone()]);
        }
        columns.fmt(f)
    }
}
