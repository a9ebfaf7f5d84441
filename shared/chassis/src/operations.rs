//! `flotilla.operations.v1.OperationsService`: what every service answers to operators.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proto::flotilla::operations::v1::operations_service_server::{
    OperationsService, OperationsServiceServer,
};
use proto::flotilla::operations::v1::{
    Breaker, Callee, CalleeInstance, Check, GetStatusRequest, GetStatusResponse, ListPermissionsRequest,
    ListPermissionsResponse, Permission, SetLogLevelRequest, SetLogLevelResponse, Terms,
};
use resilience::BreakerConfig;
use service_auth::{AllowTable, Callers, Peer};
use service_client::{CalleeStatus, InstanceStatus};
use telemetry::{LogFilter, LogsError};
use tonic::{Request, Response, Status, async_trait};
use types::{Classify, ErrorClass, FieldError};

use crate::{Access, Finding, Operation, Platform, VERSION};

/// More targets than anybody lists, and little enough to be told with the status.
const LONGEST_FILTER: usize = 1024;

/// The service on its way to the `grpc` listener.
pub(crate) fn service(
    platform: &Platform,
    permissions: Vec<Permission>,
) -> OperationsServiceServer<impl OperationsService> {
    OperationsServiceServer::new(Operations { platform: platform.clone(), permissions: permissions.into() })
}

/// Who may call each of the gRPC `methods`, use each of the edge API's `operations`, and whose requests a front
/// `passes_on`.
pub(crate) fn permissions(
    allow: &AllowTable,
    methods: &BTreeSet<String>,
    operations: &[Operation],
    passes_on: &[(Arc<str>, Access)],
) -> Vec<Permission> {
    let callers = |method: &str| match allow.callers(method) {
        None => Vec::new(),
        Some(Callers::Everyone) => vec!["everyone".to_owned()],
        Some(Callers::These(ids)) => ids.iter().map(|id| id.path().to_owned()).collect(),
    };
    let internal =
        methods.iter().map(|method| Permission { operation: method.clone(), callers: callers(method) });
    let edge = operations.iter().map(|operation| Permission {
        operation: operation.to_string(),
        callers: vec![operation.access.to_string()],
    });
    let passed = passes_on.iter().map(|(path, access)| Permission {
        operation: format!("* {path}"),
        callers: vec![access.to_string()],
    });
    internal.chain(edge).chain(passed).collect()
}

struct Operations {
    platform: Platform,
    permissions: Arc<[Permission]>,
}

/// Why the log's filter stays as it is.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("the process keeps no log whose filter could change")]
    NoLog,
    #[error("must be at most {LONGEST_FILTER} bytes long")]
    TooLong,
    #[error(transparent)]
    Wrong(#[from] LogsError),
}

impl Classify for FilterError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NoLog => ErrorClass::Conflict,
            Self::TooLong | Self::Wrong(_) => ErrorClass::Invalid,
        }
    }
}

impl Operations {
    fn set_filter(&self, filter: &str) -> Result<String, FilterError> {
        let log = self.platform.log_filter.as_ref().ok_or(FilterError::NoLog)?;
        if filter.len() > LONGEST_FILTER {
            return Err(FilterError::TooLong);
        }
        Ok(log.set(filter)?)
    }
}

fn callee(status: CalleeStatus) -> Callee {
    let terms = |(path, terms): (String, service_client::Terms)| Terms {
        path,
        timeout_ms: terms.timeout.map(millis),
        attempts: terms.attempts,
        at_once: terms.bulkhead.at_once,
        waiting: terms.bulkhead.waiting,
        breaker: Some(breaker(&terms.breaker)),
        keyed: terms.keyed,
    };
    let instance = |instance: InstanceStatus| CalleeInstance {
        address: instance.addr.to_string(),
        breaker: instance.breaker.as_str().to_owned(),
        is_away: instance.is_away,
        under_way: instance.under_way,
    };
    Callee {
        callee: status.callee.to_string(),
        protocol: status.protocol.to_owned(),
        terms: status.terms.into_iter().map(terms).collect(),
        instances: status.instances.into_iter().map(instance).collect(),
    }
}

fn breaker(config: &BreakerConfig) -> Breaker {
    Breaker {
        failures: config.failures_in_a_row.get(),
        rate: u32::from(config.failure_rate.get()),
        least_calls: config.least_calls,
        window_ms: millis(config.window),
        pause_ms: millis(config.pause),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl OperationsService for Operations {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let report = self.platform.health.report();
        let checks = report.checks.into_iter().map(|(name, finding)| {
            let (failure, stale) = match finding {
                Finding::Ok => (None, None),
                Finding::Failing { reason } => (Some(reason), None),
                Finding::Stale { reason } => (None, Some(reason)),
            };
            Check { name: name.to_owned(), failure, stale }
        });
        let log_filter = self.platform.log_filter.as_ref().map(LogFilter::text);
        Ok(Response::new(GetStatusResponse {
            service: self.platform.service.to_string(),
            version: VERSION.to_owned(),
            status: report.status.as_str().to_owned(),
            checks: checks.collect(),
            log_filter: log_filter.unwrap_or_default(),
            callees: self.platform.outbound().status().into_iter().map(callee).collect(),
        }))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        let SetLogLevelRequest { filter } = request.get_ref();
        let previous = self.set_filter(filter).map_err(|error| {
            let field = FieldError::of("filter", error.to_string());
            let fields = if error.class() == ErrorClass::Invalid { &[field][..] } else { &[] };
            proto::status::of(error.class(), &error.to_string(), fields)
        })?;
        let caller = request.extensions().get::<Peer>().map(|Peer(id)| id.as_str());
        // A warning, so that whoever wonders about a log that has become silent finds the reason in it.
        tracing::warn!(caller, filter, previous, "what is logged has been changed");
        Ok(Response::new(SetLogLevelResponse { previous }))
    }

    async fn list_permissions(
        &self,
        _request: Request<ListPermissionsRequest>,
    ) -> Result<Response<ListPermissionsResponse>, Status> {
        Ok(Response::new(ListPermissionsResponse { permissions: self.permissions.to_vec() }))
    }
}
