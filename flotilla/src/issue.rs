use std::io::{self, Write as _};
use std::str::FromStr;

use runtime::Clock;
use service_auth::{LocalCa, SpiffeId, TrustDomain};
use types::{ServiceName, ServiceNameError};

use crate::certificate::Files;
use crate::cli::Issue;
use crate::data_dir::authority;
use crate::error::Error;

/// Whom a certificate is made out to.
#[derive(Clone, Debug)]
pub(crate) enum Workload {
    Operator,
    Service(ServiceName),
}

impl FromStr for Workload {
    type Err = ServiceNameError;

    fn from_str(name: &str) -> Result<Self, ServiceNameError> {
        if name == "operator" { Ok(Self::Operator) } else { name.parse().map(Self::Service) }
    }
}

impl Workload {
    fn id(&self, trust_domain: &TrustDomain) -> SpiffeId {
        match self {
            Self::Operator => SpiffeId::operator(trust_domain),
            Self::Service(name) => SpiffeId::service(trust_domain, name),
        }
    }
}

/// Writes a certificate of the local authority, for a service that runs as a process of its own. `up` may own the
/// data directory meanwhile.
pub(crate) fn issue(asked: &Issue) -> Result<(), Error> {
    let ca = authority(&asked.data_dir, &Clock::system())?;
    let id = asked.workload.id(ca.trust_domain());
    Files::MOUNTED.issue(&asked.out, &ca, &id)?;
    let days = LocalCa::LEAF_VALIDITY.as_secs() / (24 * 60 * 60);
    // The files are there, whether anybody reads this or not.
    drop(writeln!(io::stdout(), "The certificate of {id} is in {}, for {days} days.", asked.out.display()));
    Ok(())
}
