//! What Consul says of the instances of a service.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::Endpoint;
use crate::address::of_one_machine;
use crate::watches::Wrong;

/// Under which name the port of the internal API stands in an instance's metadata.
pub(super) const GRPC_PORT: &str = "grpc_port";

/// The state of the catalogue that an answer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index(u64);

impl Index {
    /// No state: the next answer comes at once.
    pub(super) const NONE: Self = Self(0);

    /// What is asked with next, after an answer of index `told`. One that goes backwards is of a catalogue that has
    /// begun anew, in which the old number may be far ahead; and with 0 a query would never wait.
    pub(super) fn next(self, told: u64) -> Self {
        if told < self.0 { Self::NONE } else { Self(told.max(1)) }
    }

    pub(super) fn waits(self) -> bool {
        self != Self::NONE
    }

    pub(super) fn asked(self) -> Option<String> {
        self.waits().then(|| self.0.to_string())
    }
}

/// An instance and the node it is on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    node: Node,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    /// Empty where it is the node's.
    #[serde(rename = "Address", default)]
    address: String,
    // Wide enough for whatever somebody has registered by hand.
    #[serde(rename = "Port", default)]
    port: i64,
    #[serde(rename = "Meta", default)]
    meta: Option<BTreeMap<String, String>>,
}

impl Entry {
    /// Where the instance is.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Wrong> {
        let Service { id, address, port, meta } = &self.service;
        let wrong = |why: String| Wrong { id: id.clone(), why };
        let address = if address.is_empty() { &self.node.address } else { address };
        let ip = address
            .parse::<IpAddr>()
            .map_err(|_no_address| wrong(format!("{address:?} is no IP address")))?;
        let ip = match of_one_machine(ip) {
            Ok(ip) => ip,
            Err(no_machine) => return Err(wrong(no_machine.to_string())),
        };
        let http = port_of(*port).ok_or_else(|| wrong(format!("{port} is no port")))?;
        let grpc = meta.as_ref().and_then(|meta| meta.get(GRPC_PORT));
        let grpc = grpc.ok_or_else(|| wrong(format!("it has no {GRPC_PORT} in its metadata")))?;
        let grpc =
            grpc.parse().ok().and_then(port_of).ok_or_else(|| wrong(format!("{grpc:?} is no port")))?;
        Ok(Endpoint { http: SocketAddr::new(ip, http), grpc: SocketAddr::new(ip, grpc) })
    }
}

fn port_of(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(address: &str, node: &str, port: i64, grpc_port: Option<&str>) -> Result<String, String> {
        let meta = grpc_port.map(|port| json!({ GRPC_PORT: port }));
        let entry = json!({
            "Node": { "Node": "n", "Address": node },
            "Service": { "ID": "shop-1", "Address": address, "Port": port, "Meta": meta },
            "Checks": []
        });
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let shown = |Endpoint { http, grpc }: Endpoint| format!("{http} {grpc}");
        entry.endpoint().map(shown).map_err(|wrong| wrong.why)
    }

    #[test]
    fn an_instance_is_where_its_service_or_else_its_node_is() {
        let (grpc, ok) = (Some("50051"), |text: &str| Ok(text.to_owned()));
        assert_eq!(read("10.0.0.1", "10.0.0.9", 3000, grpc), ok("10.0.0.1:3000 10.0.0.1:50051"));
        assert_eq!(read("", "10.0.0.9", 3000, grpc), ok("10.0.0.9:3000 10.0.0.9:50051"));
        assert_eq!(read("fd00::1", "", 3000, grpc), ok("[fd00::1]:3000 [fd00::1]:50051"));
        assert_eq!(read("::ffff:10.0.0.1", "", 3000, grpc), ok("10.0.0.1:3000 10.0.0.1:50051"));
    }

    #[test]
    fn an_instance_that_nobody_can_call_is_told_with_the_reason() {
        let grpc = Some("50051");
        let wrong = [
            read("shop.internal", "10.0.0.9", 3000, grpc),
            read("", "", 3000, grpc),
            read("0.0.0.0", "", 3000, grpc),
            read("ff02::1", "", 3000, grpc),
            read("fe80::1", "", 3000, grpc),
            read("10.0.0.1", "", 0, grpc),
            read("10.0.0.1", "", 70_000, grpc),
            read("10.0.0.1", "", 3000, None),
            read("10.0.0.1", "", 3000, Some("0")),
        ];
        insta::assert_snapshot!(wrong.map(Result::unwrap_err).join("\n"), @r#"
        "shop.internal" is no IP address
        "" is no IP address
        0.0.0.0 is not the address of one machine
        ff02::1 is not the address of one machine
        fe80::1 means another machine in every network
        0 is no port
        70000 is no port
        it has no grpc_port in its metadata
        "0" is no port
        "#);
    }

    proptest! {
        #[test]
        fn an_index_never_goes_backwards_and_never_stays_at_zero(told in prop::collection::vec(0..5_u64, 1..20)) {
            let mut index = Index::NONE;
            for told in told {
                let next = index.next(told);
                if told < index.0 {
                    prop_assert_eq!(next, Index::NONE);
                } else {
                    prop_assert!(next.waits() && next.0 >= told);
                }
                index = next;
            }
        }
    }
}
