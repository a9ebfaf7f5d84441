use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::{Listeners, Platform};
use discovery::{Discover, Registry};
use runtime::Env;
use service_auth::Issuer;
use service_client::Outbound;
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
    issuer: Issuer,
    log_filter: Option<LogFilter>,
}

impl House {
    pub(super) fn open(
        data_dir: &Path,
        threads: usize,
        issuer: Issuer,
        log_filter: Option<LogFilter>,
    ) -> Result<Self, DataDirError> {
        let env = Env::system(threads);
        let data = DataDir::open(data_dir, &env.clock)?;
        Announcement::clear(data_dir);
        Ok(Self { env, data, discovery: Arc::new(Registry::default()), issuer, log_filter })
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
        let platform = platform.with_issuer(self.issuer.clone()).with_renewal(self.data.renewal());
        Ok(platform.with_log_filter(self.log_filter.clone()))
    }

    /// The accounts, as the operator has them, once user-service serves.
    pub(super) async fn accounts(&self) -> Result<Accounts, DataDirError> {
        let mut instances = self.discovery.watch(&USER_SERVICE);
        // The registry is there for as long as the house.
        drop(instances.wait_for(|instances| !instances.is_empty()).await);
        let operator = self.data.operator()?;
        let trust_domain = self.data.authority().trust_domain();
        let outbound = Outbound::new(&self.env, &operator, trust_domain, &self.discovery);
        Ok(Accounts::over(&outbound.grpc(&USER_SERVICE)))
    }
}
