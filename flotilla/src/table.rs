use std::fmt;

use chassis::Addrs;

/// What `up` tells at its start: where each service listens and what it keeps its data in.
pub(crate) struct Table(pub(crate) Vec<Row>);

pub(crate) struct Row {
    pub(crate) service: String,
    pub(crate) addrs: Addrs,
    pub(crate) database: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, [service, http, grpc, admin, database]: [&str; 5]| {
            writeln!(f, "{service:<22}{http:<18}{grpc:<18}{admin:<18}{database}")
        };
        line(f, ["SERVICE", "HTTP (mTLS)", "GRPC (mTLS)", "ADMIN", "DATABASE"])?;
        for Row { service, addrs: Addrs { http, grpc, admin }, database } in &self.0 {
            line(f, [service, &http.to_string(), &grpc.to_string(), &admin.to_string(), database])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn every_service_has_a_line_under_its_headings() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let row = Row {
            service: "user-service".to_owned(),
            addrs: Addrs { http: at(40001), grpc: at(40002), admin: at(40003) },
            database: "sqlite:data/user-service.db".to_owned(),
        };
        let text = "\
SERVICE               HTTP (mTLS)       GRPC (mTLS)       ADMIN             DATABASE
user-service          127.0.0.1:40001   127.0.0.1:40002   127.0.0.1:40003   sqlite:data/user-service.db
";
        assert_eq!(Table(vec![row]).to_string(), text);
    }
}
