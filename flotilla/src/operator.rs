use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use chassis::{DiscoveryConfig, Failure, Settings, Sources, Vars, optional_discovery};
use discovery::Static;
use runtime::{Deadline, Env};
use service_auth::{Identity, IdentityError};
use service_client::{Channel, Outbound};
use types::ServiceName;

use crate::certificate::Files;
use crate::cli::Reach;
use crate::error::Error;
use crate::instances::{Instance, Known, UnknownError};

/// How long a service may take to answer: a person waits, and a database behind the service may be slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question that is worth its answer for as long as a person waits.
pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
    service_client::request(message, Deadline::within(PATIENCE), None)
}

/// An operator at a command line: who that is to the services, and which of them are known.
pub(crate) struct Operator {
    pub(crate) env: Env,
    pub(crate) known: Known,
    identity: Identity,
}

/// There is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no operator's certificate in {}: `flotilla up` makes one in its data directory, `flotilla issue operator --out DIR` another, and FLOTILLA_IDENTITY_DIR says where it is",
    directory.display()
)]
pub(crate) struct NoIdentityError {
    directory: PathBuf,
    #[source]
    source: Box<IdentityError>,
}

impl Operator {
    pub(crate) async fn at(reach: &Reach) -> Result<Self, Error> {
        let sources = Sources { vars: Vars::from_process(), ..Sources::default() };
        let mut settings = Settings::new(ServiceName::new("flotilla"), sources);
        let directory =
            settings.optional("FLOTILLA_IDENTITY_DIR", "a directory", |text| Some(PathBuf::from(text)));
        let discovery = optional_discovery(&mut settings);
        settings.finish().map_err(Failure::from)?;
        let env = Env::system(1);
        let directory = directory.unwrap_or_else(|| reach.data_dir.join("operator"));
        let identity = Files::load(&directory, &env.clock)
            .map_err(|source| NoIdentityError { directory, source: Box::new(source) })?;
        let known = match discovery {
            _ if !reach.endpoints.is_empty() => Known::of_targets(&reach.endpoints)?,
            Some(DiscoveryConfig::Static(list)) if list.services().next().is_some() => Known::of_list(&list),
            Some(DiscoveryConfig::Static(_)) | None => Known::of_platform(&reach.data_dir)?,
            Some(other) => {
                let discovery = other.open(&env).map_err(|error| Failure::Start(error.into()))?;
                Known::of_discovery(&*discovery).await?
            }
        };
        Ok(Self { env, known, identity })
    }

    /// To whichever instance of the service answers.
    pub(crate) fn channel(&self, service: &ServiceName) -> Result<Channel, UnknownError> {
        Ok(self.channel_over(service, &self.known.of_services(slice::from_ref(service))?))
    }

    /// To this instance and no other.
    pub(crate) fn channel_to(&self, instance: &Instance) -> Channel {
        self.channel_over(&instance.service, &[instance])
    }

    fn channel_over(&self, service: &ServiceName, instances: &[&Instance]) -> Channel {
        let endpoints = instances.iter().flat_map(|instance| &instance.endpoints);
        let discovery = Static::new(endpoints.map(|&endpoint| (service.clone(), endpoint)));
        let trust_domain = self.identity.id().trust_domain();
        Outbound::new(&self.env, &self.identity, &trust_domain, &(Arc::new(discovery) as _)).grpc(service)
    }
}
