//! What operators ask of a service.

use chassis::{Finding, VERSION};
use proto::flotilla::operations::v1::operations_service_client::OperationsServiceClient;
use proto::flotilla::operations::v1::{
    Breaker, Callee, Check, GetStatusRequest, GetStatusResponse, ListPermissionsRequest, SetLogLevelRequest,
    Terms,
};
use telemetry::{LogFormat, Logs};
use tonic::{Code, Status};

use crate::lifecycle::{assembly, with};
use crate::town::{SHOP, Town};

fn status(word: &str, checks: Vec<Check>, log_filter: &str) -> GetStatusResponse {
    let (service, version) = (SHOP.to_string(), VERSION.to_owned());
    let (log_filter, callees) = (log_filter.to_owned(), vec![auth_service()]);
    GetStatusResponse { service, version, status: word.to_owned(), checks, log_filter, callees }
}

/// Whom every service asks for keys, and nobody is there.
fn auth_service() -> Callee {
    let breaker = Breaker { failures: 5, rate: 50, least_calls: 20, window_ms: 10_000, pause_ms: 1_000 };
    let terms = Terms {
        path: String::new(),
        timeout_ms: None,
        attempts: 3,
        at_once: 2_000,
        waiting: 500,
        breaker: Some(breaker),
        keyed: false,
    };
    let (callee, protocol) = ("auth-service".to_owned(), "grpc".to_owned());
    Callee { callee, protocol, terms: vec![terms], instances: Vec::new() }
}

fn database(failure: Option<&str>) -> Vec<Check> {
    vec![Check { name: "database".to_owned(), failure: failure.map(str::to_owned), stale: None }]
}

fn told(refused: &Status) -> (Code, &str) {
    (refused.code(), refused.message())
}

#[tokio::test]
async fn an_operator_is_told_how_a_service_is() {
    let town = Town::new();
    let platform = town.shop();
    let check = platform.health.check("database");
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |addrs, shutdown| {
        let mut operator = OperationsServiceClient::new(town.channel("operator", addrs.grpc).await);
        let mut ask = async || operator.get_status(GetStatusRequest {}).await.unwrap().into_inner();
        assert_eq!(ask().await, status("degraded", database(Some("not checked yet")), ""));
        check.report(Finding::Ok);
        assert_eq!(ask().await, status("ok", database(None), ""));
        let set = SetLogLevelRequest { filter: "debug".to_owned() };
        let refused = operator.set_log_level(set).await.unwrap_err();
        let no_log = "the process keeps no log whose filter could change";
        assert_eq!(told(&refused), (Code::AlreadyExists, no_log));
        shutdown.cancel();
    })
    .await;
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn an_operator_changes_what_is_logged() {
    let town = Town::new();
    // Once per process, and in silence: other tests live here too.
    let logs = Logs::init(LogFormat::Json, "off").unwrap();
    let mut platform = town.shop();
    platform.log_filter = Some(logs.filter());
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (end, ()) = with(service, async |addrs, shutdown| {
        let mut operator = OperationsServiceClient::new(town.channel("operator", addrs.grpc).await);
        let mut set = async |filter: &str| {
            let answer = operator.set_log_level(SetLogLevelRequest { filter: filter.to_owned() }).await;
            answer.map(|answer| answer.into_inner().previous)
        };
        assert_eq!(set("off,shop=warn").await.unwrap(), "off");
        let refused = set("loud").await.unwrap_err();
        let right = "`loud` is no log filter: must be off, error, warn, info, debug, trace or TARGET=LEVEL";
        assert_eq!(told(&refused), (Code::InvalidArgument, right));
        assert_eq!(proto::status::fields(&refused)[0].pointer, "/filter");
        let refused = set(&"shop=info,".repeat(200)).await.unwrap_err();
        assert_eq!(told(&refused), (Code::InvalidArgument, "must be at most 1024 bytes long"));
        assert_eq!(set("off").await.unwrap(), "off,shop=warn");
        let now = operator.get_status(GetStatusRequest {}).await.unwrap().into_inner();
        assert_eq!(now, status("ok", Vec::new(), "off"));
        shutdown.cancel();
    })
    .await;
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn an_operator_is_told_who_may_call_what() {
    let town = Town::new();
    let platform = town.shop();
    let mut assembly = assembly(&platform);
    assembly.allow = assembly
        .allow
        .allow("/userservice.UserService/GetUser", &["order-service", "operator"])
        .allow("/flotilla.auth.v1.KeysService/*", &["operator"]);
    assembly.contracts = &[proto::DESCRIPTOR_SET];
    let service = assembly.bind(&platform).await.unwrap();
    let (_, ()) = with(service, async |addrs, shutdown| {
        let mut operator = OperationsServiceClient::new(town.channel("operator", addrs.grpc).await);
        let answer = operator.list_permissions(ListPermissionsRequest {}).await.unwrap().into_inner();
        let callers = |names: &[String]| match names {
            [] => "nobody".to_owned(),
            names => names.join(", "),
        };
        let permissions = answer.permissions.into_iter();
        let lines = permissions.map(|it| format!("{}: {}", it.operation, callers(&it.callers)));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        /flotilla.auth.v1.KeysService/ListKeys: operator
        /flotilla.auth.v1.KeysService/RotateKeys: operator
        /flotilla.operations.v1.OperationsService/GetStatus: operator
        /flotilla.operations.v1.OperationsService/ListPermissions: operator
        /flotilla.operations.v1.OperationsService/SetLogLevel: operator
        /grpc.health.v1.Health/Check: everyone
        /grpc.health.v1.Health/Watch: everyone
        /grpc.reflection.v1.ServerReflection/ServerReflectionInfo: operator
        /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo: operator
        /userservice.UserService/CreateUser: nobody
        /userservice.UserService/DeleteUser: nobody
        /userservice.UserService/GetUser: service/order-service, operator
        /userservice.UserService/UpdateUser: nobody
        GET /tea: anybody
        ");
        shutdown.cancel();
    })
    .await;
}

#[tokio::test]
async fn nobody_but_an_operator_is_answered() {
    let town = Town::new();
    let platform = town.shop();
    let service = assembly(&platform).bind(&platform).await.unwrap();
    let (_, ()) = with(service, async |addrs, shutdown| {
        for caller in ["api-gateway", "auth-service", SHOP.as_str()] {
            let mut client = OperationsServiceClient::new(town.channel(caller, addrs.grpc).await);
            let set = SetLogLevelRequest { filter: "off".to_owned() };
            let refusals = [
                client.get_status(GetStatusRequest {}).await.unwrap_err(),
                client.set_log_level(set).await.unwrap_err(),
                client.list_permissions(ListPermissionsRequest {}).await.unwrap_err(),
            ];
            assert_eq!(refusals.map(|refused| refused.code()), [Code::PermissionDenied; 3], "{caller}");
        }
        shutdown.cancel();
    })
    .await;
}
