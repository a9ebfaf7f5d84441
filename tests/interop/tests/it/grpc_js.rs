//! The client of the Node.js guide: `@grpc/grpc-js`, with the guide's own text of the contract loaded at run time.
//! The server's text must not be taken for it, or a change there would change both ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chassis::{Configure as _, Listeners, Platform, Settings, Sources, Vars};
use discovery::Registry;
use runtime::Env;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service_auth::{Identity, LocalCa, Pem, SpiffeId};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use types::ServiceName;
use user_service::Config;

const SERVICE: ServiceName = ServiceName::new("user-service");

/// The client bounds each of its calls by 20 seconds; one that hangs all the same ends with the test.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_guides_client_gets_what_the_contract_says() {
    let Some(node) = node() else { return };
    let dir = tempfile::tempdir().unwrap();
    let env = Env::system(2);
    let ca = LocalCa::open(&dir.path().join("ca"), &env.clock).unwrap();
    let service = user_service(dir.path(), &env, &ca).await;
    let config = client_config(dir.path(), &ca, service.addrs().grpc);
    let shutdown = CancellationToken::new();
    let client = async {
        let output = tokio::time::timeout(PATIENCE, run(&node, &config)).await;
        shutdown.cancel();
        output.expect("the client bounds its calls")
    };
    let (ended, output) = tokio::join!(service.run(shutdown.clone()), client);
    assert_eq!(ended, Ok(()));
    insta::assert_snapshot!(output);
}

/// The node binary, or nothing where there is none and none has to be.
#[expect(clippy::print_stdout, reason = "a test that did not run has to say so")]
fn node() -> Option<PathBuf> {
    let vars = Vars::from_process();
    let installed = here("node_modules").is_dir();
    if installed {
        return Some(vars.get("FLOTILLA_TEST_NODE").unwrap_or("node".as_ref()).into());
    }
    let must_run = vars.get("CI").is_some_and(|ci| ci == "true");
    assert!(!must_run, "tests/interop/node_modules must be there where CI=true: npm ci");
    println!("FLOTILLA_TEST_NODE: tests/interop/node_modules is missing (npm ci)");
    None
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn user_service(dir: &Path, env: &Env, ca: &LocalCa) -> chassis::Service {
    let url = format!("sqlite:{}", dir.join("users.db").display());
    // The least that Argon2 takes: what is tested here is the wire.
    let vars = Vars::from([("DATABASE_URL", url.as_str()), ("ARGON2_MEMORY_KIB", "8")]);
    let mut settings = Settings::new(SERVICE, Sources { vars, ..Sources::default() });
    let config = Config::configure(&mut settings);
    settings.finish().unwrap();
    let identity = Identity::from_pem(&issue(ca, &id_of_service(ca)), ca.roots_pem(), &env.clock).unwrap();
    let (listeners, discovery) = (Listeners::local(), Arc::new(Registry::default()));
    let platform =
        Platform::new(SERVICE, env.clone(), identity, ca.trust_domain().clone(), listeners, discovery);
    user_service::build(config, platform).await.unwrap()
}

fn id_of_service(ca: &LocalCa) -> SpiffeId {
    SpiffeId::service(ca.trust_domain(), &SERVICE)
}

fn issue(ca: &LocalCa, id: &SpiffeId) -> Pem {
    ca.issue(id, Duration::from_secs(60 * 60)).unwrap()
}

/// What the client is told: where the service is, who it must be, and who to be itself.
fn client_config(dir: &Path, ca: &LocalCa, addr: SocketAddr) -> Value {
    let roots = dir.join("roots.pem");
    std::fs::write(&roots, ca.roots_pem()).unwrap();
    let reader = SpiffeId::service(ca.trust_domain(), &ServiceName::new("order-service"));
    json!({
        "target": addr.to_string(),
        "server": id_of_service(ca).as_str(),
        "proto": here("guide.proto"),
        "roots": roots,
        "operator": files(dir, "operator", &issue(ca, &SpiffeId::operator(ca.trust_domain()))),
        "reader": files(dir, "reader", &issue(ca, &reader)),
    })
}

fn files(dir: &Path, name: &str, pem: &Pem) -> Value {
    let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&chain, &pem.chain).unwrap();
    std::fs::write(&key, pem.key.expose_secret()).unwrap();
    json!({ "chain": chain, "key": key })
}

/// All that the client prints, once it has ended well.
async fn run(node: &Path, config: &Value) -> String {
    let mut command = Command::new(node);
    command.arg(here("client.mjs")).arg(config.to_string()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{text}", output.status);
    text
}
