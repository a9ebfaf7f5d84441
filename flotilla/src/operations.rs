//! What every service answers to operators, from the asking end.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::time::Duration;

use chassis::show_duration;

use futures_util::future::join_all;
use proto::flotilla::operations::v1::operations_service_client::OperationsServiceClient;
use proto::flotilla::operations::v1::{
    Breaker, Callee, CalleeInstance, Check, GetStatusRequest, GetStatusResponse, ListPermissionsRequest,
    ListPermissionsResponse, Permission, SetLogLevelRequest, Terms,
};
use service_client::Channel;
use types::{Classify as _, ErrorClass, ServiceName};

use crate::columns::Columns;
use crate::error::Error;
use crate::instances::Instance;
use crate::operator::{Operator, request};
use crate::refusal::Refusal;

/// An instance did not do what it was asked, or none of several that would have done.
#[derive(Debug, thiserror::Error)]
#[error("{service} at {address}")]
pub(crate) struct InstanceError {
    service: ServiceName,
    address: String,
    #[source]
    pub(crate) source: Refusal,
}

impl InstanceError {
    fn of(instance: &Instance) -> impl FnOnce(Refusal) -> Self {
        let (service, address) = (instance.service.clone(), instance.address.clone());
        move |source| Self { service, address, source }
    }

    fn of_any(instances: &[&Instance], service: &ServiceName) -> impl FnOnce(Refusal) -> Self {
        let own = instances.iter().filter(|instance| instance.service == *service);
        let addresses: Vec<_> = own.map(|instance| instance.address.as_str()).collect();
        let (service, address) = (service.clone(), addresses.join(" or "));
        move |source| Self { service, address, source }
    }
}

/// Tells how every instance is. One that does not answer has its line too.
pub(crate) async fn status(operator: &Operator, services: &[ServiceName]) -> Result<(), Error> {
    let instances = operator.known.of_services(services)?;
    let asked = instances.iter().map(async |instance| {
        let mut client = client(operator.channel_to(instance));
        let answer = client.get_status(request(GetStatusRequest {})).await;
        answer.map(tonic::Response::into_inner).map_err(Refusal::from)
    });
    let answers = join_all(asked).await;
    let mut table = Columns::under(["SERVICE", "INSTANCE", "STATUS", "VERSION", "LOG", "CHECKS"]);
    for (instance, answer) in instances.iter().zip(&answers) {
        let [status, version, log, checks] = match answer {
            Ok(answer) => cells(answer),
            Err(refusal) => {
                let is_silent = [ErrorClass::Unavailable, ErrorClass::Unknown].contains(&refusal.class());
                [if is_silent { "no answer" } else { "refused" }, "", "", ""].map(str::to_owned)
            }
        };
        let (service, address) = (instance.service.to_string(), instance.address.clone());
        table.push([service, address, status, version, log, checks]);
    }
    print(&table);
    print_callees(&instances, &answers);
    let failed = instances
        .iter()
        .zip(answers)
        .find_map(|(instance, answer)| answer.err().map(InstanceError::of(instance)));
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

/// How the services call each other, as the callers see it.
fn print_callees(callers: &[&Instance], answers: &[Result<GetStatusResponse, Refusal>]) {
    let mut table = Columns::under([
        "CALLER",
        "CALLEE",
        "OVER",
        "PATH",
        "TIMEOUT",
        "ATTEMPTS",
        "AT ONCE",
        "WAITING",
        "BREAKER",
        "KEYED",
        "INSTANCES",
    ]);
    let mut is_empty = true;
    for (caller, answer) in callers.iter().zip(answers) {
        let callees = answer.iter().flat_map(|answer| &answer.callees);
        for (callee, terms) in
            callees.flat_map(|callee| callee.terms.iter().map(move |terms| (callee, terms)))
        {
            table.push(callee_cells(caller, callee, terms));
            is_empty = false;
        }
    }
    if !is_empty {
        // A line between the two tables.
        drop(writeln!(io::stdout()));
        print(&table);
    }
}

fn callee_cells(caller: &Instance, callee: &Callee, terms: &Terms) -> [String; 11] {
    let instance = |CalleeInstance { address, breaker, is_away, under_way }: &CalleeInstance| {
        let how = if *is_away { "not reached" } else { breaker };
        format!("{address} {how} {under_way}")
    };
    let instances = callee.instances.iter().map(instance).collect::<Vec<_>>().join(", ");
    let timeout = terms.timeout_ms.map(|millis| show_duration(Duration::from_millis(millis)));
    [
        format!("{} {}", caller.service, caller.address),
        callee.callee.clone(),
        callee.protocol.clone(),
        if terms.path.is_empty() { "*".to_owned() } else { terms.path.clone() },
        timeout.unwrap_or_else(|| "caller's".to_owned()),
        terms.attempts.to_string(),
        terms.at_once.to_string(),
        terms.waiting.to_string(),
        terms.breaker.as_ref().map(breaker).unwrap_or_default(),
        if terms.keyed { "yes" } else { "no" }.to_owned(),
        if instances.is_empty() { "none".to_owned() } else { instances },
    ]
}

/// When an instance is left out, and for how long.
fn breaker(breaker: &Breaker) -> String {
    let Breaker { failures, rate, least_calls, window_ms, pause_ms } = *breaker;
    let [window, pause] = [window_ms, pause_ms].map(|millis| show_duration(Duration::from_millis(millis)));
    format!("{failures} in a row or {rate}% of {least_calls} in {window}, for {pause}")
}

fn cells(answer: &GetStatusResponse) -> [String; 4] {
    let check = |Check { name, failure, stale }: &Check| match (failure, stale) {
        (None, None) => format!("{name} ok"),
        (None, Some(reason)) => format!("{name} stale: {reason}"),
        (Some(reason), _) => format!("{name} fails: {reason}"),
    };
    let checks = answer.checks.iter().map(check).collect::<Vec<_>>().join(", ");
    [answer.status.clone(), answer.version.clone(), answer.log_filter.clone(), checks]
}

/// Changes what every instance logs, one after another, up to the first that refuses.
pub(crate) async fn set_log_level(
    operator: &Operator,
    filter: &str,
    services: &[ServiceName],
) -> Result<(), Error> {
    let asked = operator.known.of_services(services)?;
    // Where the log is one, it is every service's.
    let instances = if operator.known.share_a_process { operator.known.of_services(&[])? } else { asked };
    let mut table = Columns::under(["SERVICE", "INSTANCE", "LOG", "BEFORE"]);
    let (mut before, mut refused) = (None, None);
    for instance in instances {
        // And the first change was all of it.
        if before.is_none() || !operator.known.share_a_process {
            match set_filter(operator, instance, filter).await {
                Ok(previous) => before = Some(previous),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let cells = [instance.service.as_str(), &instance.address, filter, before.as_deref().unwrap_or("")];
        table.push(cells.map(str::to_owned));
    }
    print(&table);
    refused.map_or(Ok(()), |refused| Err(refused.into()))
}

async fn set_filter(operator: &Operator, instance: &Instance, filter: &str) -> Result<String, InstanceError> {
    let set = SetLogLevelRequest { filter: filter.to_owned() };
    let answer = client(operator.channel_to(instance)).set_log_level(request(set)).await;
    Ok(answer.map_err(|status| InstanceError::of(instance)(status.into()))?.into_inner().previous)
}

/// Tells who may call what, by one instance of each service. One that does not answer keeps nobody from the others.
pub(crate) async fn permissions(operator: &Operator, services: &[ServiceName]) -> Result<(), Error> {
    let instances = operator.known.of_services(services)?;
    let names: BTreeSet<_> = instances.iter().map(|instance| &instance.service).collect();
    let (mut table, mut failed) = (Columns::under(["SERVICE", "OPERATION", "CALLERS"]), None);
    for service in names {
        let mut client = client(operator.channel(service)?);
        let answer = client.list_permissions(request(ListPermissionsRequest {})).await;
        match answer.map_err(Refusal::from).map_err(InstanceError::of_any(&instances, service)) {
            Ok(answer) => permitted(service, answer.into_inner()).for_each(|row| table.push(row)),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    print(&table);
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

fn permitted(service: &ServiceName, answer: ListPermissionsResponse) -> impl Iterator<Item = [String; 3]> {
    answer.permissions.into_iter().map(move |Permission { operation, callers }| {
        let callers = if callers.is_empty() { "nobody".to_owned() } else { callers.join(", ") };
        [service.to_string(), operation, callers]
    })
}

fn client(channel: Channel) -> OperationsServiceClient<Channel> {
    OperationsServiceClient::new(channel)
}

pub(crate) fn print<const N: usize>(table: &Columns<N>) {
    // What was asked is done, whether anybody reads about it or not.
    drop(write!(io::stdout(), "{table}"));
}
