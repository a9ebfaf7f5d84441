//! What every gRPC listener answers besides the service's own methods: health, reflection and the operators' verbs.

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use runtime::Deadline;
use service_auth::AllowTable;
use service_client::{CallError, Channel};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health as GrpcHealth, HealthServer};
use tonic_health::pb::{FILE_DESCRIPTOR_SET, HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET as REFLECTION_V1;
use tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET as REFLECTION_V1ALPHA;
use tonic_reflection::server::Builder;
use types::ErrorClass;

use crate::Health;
use crate::health::Report;

/// The rows of what is served beside the service's own methods. Whoever has an identity may ask for health,
/// as load balancers do; what methods there are is for operators.
pub(crate) fn with_house_rows(allow: AllowTable) -> AllowTable {
    allow
        .allow_everyone("/grpc.health.v1.Health/*")
        .allow("/grpc.reflection.v1.ServerReflection/*", &["operator"])
        .allow("/grpc.reflection.v1alpha.ServerReflection/*", &["operator"])
        .allow("/flotilla.operations.v1.OperationsService/*", &["operator"])
}

/// The contracts of what is served beside the service's own methods, as far as clients may ask for them.
const HOUSE: [&[u8]; 2] = [FILE_DESCRIPTOR_SET, proto::DESCRIPTOR_SET];

/// `own` routes and the house's. `contracts` are encoded descriptor sets, of which only services that have a
/// row in the table are shown.
pub(crate) fn routes(
    own: Routes,
    contracts: &[&'static [u8]],
    allow: &AllowTable,
    health: Health,
) -> Result<Routes, tonic_reflection::server::Error> {
    let services = services(allow);
    let reflection = || {
        let sets = contracts.iter().chain(&HOUSE);
        let builder =
            sets.fold(Builder::configure(), |builder, set| builder.register_encoded_file_descriptor_set(set));
        services.iter().fold(builder, |builder, service| builder.with_service_name(service))
    };
    let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
    let health = HealthServer::new(HealthOf { health, services });
    Ok(own.add_service(health).add_service(v1).add_service(v1alpha))
}

/// The paths of all methods that are served.
pub(crate) fn methods(
    contracts: &[&'static [u8]],
    allow: &AllowTable,
) -> Result<BTreeSet<String>, tonic_reflection::server::Error> {
    let services = services(allow);
    let mut methods = BTreeSet::new();
    for set in contracts.iter().chain(&HOUSE).chain([&REFLECTION_V1, &REFLECTION_V1ALPHA]) {
        for file in FileDescriptorSet::decode(*set)?.file {
            for service in &file.service {
                let service_name = format!("{}.{}", file.package(), service.name());
                if services.contains(&service_name) {
                    methods.extend(service.method.iter().map(|it| format!("/{service_name}/{}", it.name())));
                }
            }
        }
    }
    Ok(methods)
}

/// The services that have methods in the table.
fn services(allow: &AllowTable) -> BTreeSet<String> {
    allow.rows().filter_map(|(path, _)| path.split('/').nth(1).map(str::to_owned)).collect()
}

/// gRPC's health protocol over our own health, which it is never behind.
struct HealthOf {
    health: Health,
    services: BTreeSet<String>,
}

impl HealthOf {
    /// The empty name asks for the server as a whole. Readiness is one for all services of a server.
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(service)
    }
}

#[async_trait]
impl GrpcHealth for HealthOf {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(proto::status::of(ErrorClass::NotFound, "there is no such service here", &[]));
        }
        Ok(Response::new(answer(&self.health.report())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.knows(&request.get_ref().service);
        let answers = reports(self.health.subscribe()).map(move |report| {
            Ok(if known { answer(&report) } else { respond(ServingStatus::ServiceUnknown) })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Readiness now and whenever it changes. It ends with the drain, which would otherwise wait for its watchers.
fn reports(reports: watch::Receiver<Report>) -> impl Stream<Item = Report> + Send {
    stream::unfold((reports, None), async |(mut reports, last): (_, Option<Report>)| {
        if last.as_ref().is_some_and(Report::is_draining) {
            return None;
        }
        let news = |now: &Report| {
            now.is_draining() || last.as_ref().is_none_or(|last| last.is_ready() != now.is_ready())
        };
        let report = reports.wait_for(news).await.ok()?.clone();
        Some((report.clone(), (reports, Some(report))))
    })
}

impl Health {
    /// Whether the service at the other end of `channel` is ready.
    ///
    /// # Errors
    /// [`CallError`]: it does not say by `deadline`.
    pub async fn ask(channel: Channel, deadline: Deadline) -> Result<bool, CallError> {
        let request = service_client::request(HealthCheckRequest::default(), deadline, None);
        let answer = HealthClient::new(channel).check(request).await?;
        Ok(answer.get_ref().status() == ServingStatus::Serving)
    }
}

fn answer(report: &Report) -> HealthCheckResponse {
    respond(if report.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn respond(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
