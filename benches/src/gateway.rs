//! `GET /users/me` through the gateway with one token again and again, beside a bare proxy before the same service. Each is a
//! process of its own, made from this program; the callers are here. And what the check of a known token takes.

use std::env::current_exe;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::StatusCode;
use runtime::Env;
use service_auth::{Claims, Issuer, KeySet, LocalCa, SigningKey, TokenVerifier};
use tokio::process::Command;
use tokio::time::Instant;
use types::{Id, Role};

use crate::figures::{Limit, Limits, median, say};
use crate::load::all_at_once;
use crate::place::{AUTH, GATEWAY, Place, USERS, free_port};
use crate::process::Process;
use crate::visitor::Visitor;

const CALLERS: usize = 32;
const SPAN: Duration = Duration::from_secs(4);
const ROUNDS: usize = 7;
/// What limits, the token, revocations, headers, identifiers and measurements may cost.
const TO_BARE: Limit = Limit::AtMost(1.5);
const CHECK_MICROS: Limit = Limit::AtMost(0.5);

/// The most that the gateway's settings allow.
const NO_LIMIT: &str = "1000000";

/// As many users as one instance sees in a while.
const TOKENS: usize = 1_000;
const CHECKS: usize = 2_000_000;

pub(crate) async fn run() -> Result<()> {
    let env = Env::system(1);
    let mut limits = Limits::default();
    check(&env, &mut limits)?;
    let dir = tempfile::tempdir()?;
    let town = Town::new(env, dir.path()).await?;
    let processes = town.start().await?;
    let token = town.token().await?;
    let bare = town.bare_proxy().await?;
    let gateway = Contender { process: &processes.gateway, addr: town.public };
    let peer = Contender { process: &bare.0, addr: bare.1 };

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // In turn, so that neither has the quieter moment each time.
        let pair = if round % 2 == 0 {
            let first = peer.run(&town.env, &token).await?;
            (first, gateway.run(&town.env, &token).await?)
        } else {
            let first = gateway.run(&town.env, &token).await?;
            (peer.run(&town.env, &token).await?, first)
        };
        // The first one warms up.
        if round > 0 {
            theirs.push(pair.0);
            ours.push(pair.1);
        }
    }
    report(&mut limits, &ours, &theirs)?;
    limits.kept()
}

/// What a proxy did in one run.
struct Run {
    per_second: f64,
    cpu_micros: f64,
}

fn report(limits: &mut Limits, ours: &[Run], theirs: &[Run]) -> Result<()> {
    let compare = |figure: fn(&Run) -> f64| {
        let (ours, theirs) = (ours.iter().map(figure), theirs.iter().map(figure));
        let ratios = ours.clone().zip(theirs.clone()).map(|(ours, theirs)| ours / theirs);
        (median(ours.collect()), median(theirs.collect()), median(ratios.collect()))
    };
    let (ours_rate, peer_rate, ratio) = compare(|run| run.per_second);
    say(&format!(
        "GET /users/me through the gateway: {ours_rate:.0} requests/s; bare proxy: {peer_rate:.0}; ratio {ratio:.2}"
    ))?;
    let (ours, peer, ratio) = compare(|run| run.cpu_micros);
    let told = format!(
        "Processor time of the gateway per request: {ours:.1} µs; bare proxy: {peer:.1}; ratio {ratio:.2}"
    );
    Ok(limits.say(&told, ratio, TO_BARE)?)
}

/// Checks tokens that have been checked before, as the gateway does for a user's second request.
fn check(env: &Env, limits: &mut Limits) -> Result<()> {
    let (key, _) = SigningKey::generate(&env.random);
    let (issuer, now) = (Issuer::default(), env.clock.now());
    let verifier = TokenVerifier::new(issuer.clone(), &env.clock);
    verifier.set_keys(&KeySet::new([key.public()]));
    let tokens: Vec<String> = (0..TOKENS)
        .map(|_| {
            let claims = Claims {
                user: Id::from_uuid(env.ids.uuid()),
                session: Id::from_uuid(env.ids.uuid()),
                role: Role::Customer,
                version: 1,
                id: env.ids.uuid(),
                issued_at: now,
                not_before: now,
                expires_at: now.after(Duration::from_secs(600)),
            };
            key.sign(&issuer, &claims)
        })
        .collect();
    for token in &tokens {
        verifier.verify(token)?;
    }
    let began = Instant::now();
    for nth in 0..CHECKS {
        verifier.verify(&tokens[nth % TOKENS])?;
    }
    let micros = began.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(CHECKS)?);
    Ok(limits.say(
        &format!("Repeat check of one of {TOKENS} tokens: {micros:.3} µs"),
        micros,
        CHECK_MICROS,
    )?)
}

/// Where each service is, who it is and where it keeps its data.
struct Town {
    env: Env,
    dir: PathBuf,
    users: Place,
    auth: Place,
    gateway: Place,
    public: SocketAddr,
}

struct Processes {
    _users: Process,
    _auth: Process,
    gateway: Process,
}

impl Town {
    async fn new(env: Env, dir: &Path) -> Result<Self> {
        let authority = LocalCa::open(&dir.join("authority"), &env.clock)?;
        let mut places = Vec::new();
        for name in [USERS, AUTH, GATEWAY] {
            let own = dir.join(name.as_str());
            places.push(Place::new(&env, name, &own, &authority).await?);
        }
        let [users, auth, gateway] = <[Place; 3]>::try_from(places).ok().context("there are three")?;
        let public = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(&env).await?));
        Ok(Self { env, dir: dir.to_owned(), users, auth, gateway, public })
    }

    /// The services with the settings that they have in production, but for where they listen and who they find.
    async fn start(&self) -> Result<Processes> {
        let database = |name: &str| format!("sqlite:{}", self.dir.join(name).join("data.db").display());
        let mut users = self.command(&self.users)?;
        users.env("DATABASE_URL", database("user-service"));
        let mut auth = self.command(&self.auth)?;
        auth.env("DATABASE_URL", database("auth-service")).env("SIGNING_KEY_SECRET", "07".repeat(32));
        let mut gateway = self.command(&self.gateway)?;
        gateway.env("PUBLIC_PORT", self.public.port().to_string());
        // Every request is held to the limits, and none is over them.
        gateway.env("LIMIT_LOOPBACK", "true");
        gateway.envs(
            ["ADDRESS_RATE", "ADDRESS_BURST", "ADDRESS_IN_FLIGHT", "USER_RATE", "USER_BURST"]
                .map(|limit| (limit, NO_LIMIT)),
        );
        let serving = |line: &str| line.contains("\"serving\"").then_some(());
        let (users, ()) = Process::start(&self.env, users, serving).await?;
        let (auth, ()) = Process::start(&self.env, auth, serving).await?;
        let (gateway, ()) = Process::start(&self.env, gateway, serving).await?;
        Ok(Processes { _users: users, _auth: auth, gateway })
    }

    fn command(&self, place: &Place) -> Result<Command> {
        let mut command = Command::new(current_exe()?);
        command.arg(place.name.as_str()).stderr(Stdio::piped()).env_clear();
        command.envs(place.settings()).env("DRAIN_DELAY", "0s");
        command.env("SERVICES_STATIC", format!("{},{}", self.users.listed(), self.auth.listed()));
        Ok(command)
    }

    /// The proxy that only passes on, which is to the service who the gateway is.
    async fn bare_proxy(&self) -> Result<(Process, SocketAddr)> {
        let mut command = Command::new(current_exe()?);
        let Place { cert, key, ca, .. } = &self.gateway;
        command.arg("bare-proxy").args(["--upstream", &format!("127.0.0.1:{}", self.users.http)]);
        command
            .arg("--cert")
            .arg(cert)
            .arg("--key")
            .arg(key)
            .arg("--ca")
            .arg(ca)
            .stderr(Stdio::piped())
            .env_clear();
        Process::start(&self.env, command, |line| line.parse().ok()).await
    }

    /// Registers a user and logs in, as soon as the platform is ready.
    async fn token(&self) -> Result<String> {
        let mut visitor = Visitor::connect(&self.env, self.public).await?;
        visitor.register().await?;
        visitor.log_in().await
    }
}

/// A proxy to be measured.
struct Contender<'a> {
    process: &'a Process,
    addr: SocketAddr,
}

impl Contender<'_> {
    async fn run(&self, env: &Env, token: &str) -> Result<Run> {
        let (began, cpu) = (Instant::now(), self.process.cpu()?);
        let callers = (0..CALLERS).map(|_| {
            let (env, addr, bearer) = (env.clone(), self.addr, format!("Bearer {token}"));
            async move { call(Visitor::connect(&env, addr).await?, &bearer, began + SPAN).await }
        });
        let requests: u32 = all_at_once(env, callers).await?.iter().sum();
        let (took, cpu) = (began.elapsed(), self.process.cpu()? - cpu);
        Ok(Run {
            per_second: f64::from(requests) / took.as_secs_f64(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / f64::from(requests),
        })
    }
}

/// Asks one time after the other; how often.
async fn call(mut visitor: Visitor, bearer: &str, until: Instant) -> Result<u32> {
    let mut requests = 0;
    while Instant::now() < until {
        let status = visitor.me(bearer).await?;
        ensure!(status == StatusCode::OK, "the request was answered {status}");
        requests += 1;
    }
    Ok(requests)
}
