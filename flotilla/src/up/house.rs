use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::{Addrs, Listeners, Platform};
use discovery::{Discover, Endpoint, Registration, Registry};
use runtime::Env;
use service_auth::Issuer;
use service_client::{Callees, Outbound};
use telemetry::LogFilter;
use types::ServiceName;

use crate::accounts::Accounts;
use crate::data_dir::{DataDir, DataDirError};
use crate::instances::Announcement;
use crate::run::USER_SERVICE;

/// What all services of a process share.
pub(super) struct House {
    pub(super) env: Env,
    data: DataDir,
    discovery: Arc<dyn Discover>,
    manners: Manners,
}

/// What holds for each of them.
pub(super) struct Manners {
    pub(super) issuer: Issuer,
    pub(super) callees: Callees,
    pub(super) log_filter: Option<LogFilter>,
}

impl House {
    pub(super) fn open(data_dir: &Path, threads: usize, manners: Manners) -> Result<Self, DataDirError> {
        let env = Env::system(threads);
        let data = DataDir::open(data_dir, &env.clock)?;
        Announcement::clear(data_dir);
        Ok(Self { env, data, discovery: Arc::new(Registry::default()), manners })
    }

    pub(super) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Writes the operator's certificate and tells where.
    pub(super) fn write_operator(&self) -> Result<PathBuf, DataDirError> {
        self.data.write_operator()
    }

    /// What a service is given to live with.
    pub(super) fn platform(
        &self,
        name: &ServiceName,
        listeners: Listeners,
    ) -> Result<Platform, DataDirError> {
        let identity = self.data.identity(name)?;
        let trust_domain = self.data.authority().trust_domain().clone();
        let env = self.env.with_own_tasks();
        let discovery = Arc::clone(&self.discovery);
        let platform = Platform::new(name.clone(), env, identity, trust_domain, listeners, discovery);
        let Manners { issuer, callees, log_filter } = &self.manners;
        let platform = platform.with_callees(callees.clone()).with_issuer(issuer.clone());
        Ok(platform.with_renewal(self.data.renewal()).with_log_filter(log_filter.clone()))
    }

    /// Makes a service known that has its ports and is about to serve, so that no other looks for it in vain and tries
    /// again only after a while.
    pub(super) fn expect(&self, name: &ServiceName, addrs: Addrs) -> Registration {
        self.discovery.register(name, Endpoint { http: addrs.http, grpc: addrs.grpc })
    }

    /// The accounts, as the operator has them.
    pub(super) fn accounts(&self) -> Result<Accounts, DataDirError> {
        let operator = self.data.operator()?;
        let trust_domain = self.data.authority().trust_domain();
        let outbound = Outbound::new(&self.env, &operator, trust_domain, &self.discovery);
        Ok(Accounts::over(&outbound.grpc(&USER_SERVICE)))
    }
}
