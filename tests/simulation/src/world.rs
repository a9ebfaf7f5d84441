//! One seed from beginning to end.

mod service;
mod stored;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use mad_turmoil::time::SimClocksGuard;
use rand::SeedableRng as _;
use runtime::Random;
use service_auth::{Identity, LocalCa, SpiffeId, TrustDomain};
use turmoil::Sim;

use crate::checker::{self, AFTERWARDS, Look, Stored, Table};
use crate::client::{Client, Shared};
use crate::faults::{self, Injector};
use crate::history::{Account, Micros};
use crate::hosts::{CLIENTS, INSTANCES, LATENCY};
use crate::net::Traffic;
use crate::report::Report;
use crate::storage::Disk;
use crate::time;

use self::service::Instance;

/// How long the clients work and faults happen.
const WORK: Duration = Duration::from_secs(60);

/// How long reading back may take after that; far more than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the table is looked at for what cannot be in it then.
const BETWEEN_LOOKS: Micros = 1_000_000;

/// Runs a seed. Once per process: randomness and clocks are the process's own.
///
/// # Errors
/// The world itself broke; what a service does wrong stands in the report.
pub fn run(seed: u64) -> anyhow::Result<Report> {
    let directory = tempfile::tempdir().context("making a directory for the database")?;
    let identities = Identities::issue(&directory.path().join("ca"))?;
    mad_turmoil::rand::set_rng(rand::rngs::StdRng::seed_from_u64(seed));
    let _clocks = SimClocksGuard::init();
    World::new(seed, &directory.path().join("users.db"), &identities)?.run()
}

/// The certificates, made outside the simulation: keys come from a source that cannot be seeded.
struct Identities {
    service: Identity,
    operator: Identity,
}

impl Identities {
    fn issue(directory: &Path) -> anyhow::Result<Self> {
        let clock = time::clock();
        let ca = LocalCa::open(directory, &clock)?;
        let trust_domain = TrustDomain::default();
        let identity = |id: &SpiffeId| -> anyhow::Result<Identity> {
            let pem = ca.issue(id, LocalCa::LEAF_VALIDITY)?;
            Ok(Identity::from_pem(&pem, ca.roots_pem(), &clock)?)
        };
        Ok(Self {
            service: identity(&SpiffeId::service(&trust_domain, &service::name()))?,
            operator: identity(&SpiffeId::operator(&trust_domain))?,
        })
    }
}

struct World<'a> {
    sim: Sim<'a>,
    disk: Disk,
    injector: Injector,
    shared: Rc<RefCell<Shared>>,
    database: &'a Path,
    random: Random,
    traffic: Traffic,
    looks: Vec<Look>,
}

impl<'a> World<'a> {
    fn new(seed: u64, database: &'a Path, identities: &Identities) -> anyhow::Result<Self> {
        let random = Random::seeded(seed);
        let disk = Disk::new(Injector::cut);
        for instance in INSTANCES {
            disk.attach(instance)?;
        }
        let planned = faults::plan(&random, WORK);
        let traffic = Traffic::default();
        let injector = Injector::new(disk.clone(), traffic.clone(), random.clone(), planned);
        let mut world = Self {
            sim: network(seed),
            disk,
            injector,
            shared: Rc::default(),
            database,
            random,
            traffic,
            looks: Vec::new(),
        };
        world.populate(identities);
        Ok(world)
    }

    fn populate(&mut self, identities: &Identities) {
        for name in INSTANCES {
            let instance = Instance {
                name,
                database: self.database.to_owned(),
                disk: self.disk.clone(),
                identity: identities.service.clone(),
                random: self.random.clone(),
                traffic: self.traffic.clone(),
                orders: self.injector.orders(name),
            };
            self.sim.host(name, move || instance.clone().run());
        }
        for (share, name) in CLIENTS.into_iter().enumerate() {
            let (random, shared) = (self.random.clone(), Rc::clone(&self.shared));
            let client = Client::new(name, &identities.operator, random, shared, &self.traffic);
            self.sim.client(name, async move {
                client.run(WORK, share, CLIENTS.len()).await;
                Ok(())
            });
        }
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let mut next_look = BETWEEN_LOOKS;
        loop {
            let is_over = self.sim.step().map_err(|error| anyhow!("the simulation stopped: {error}"))?;
            let now = micros(self.sim.elapsed());
            self.injector.advance(&mut self.sim, now, &mut self.shared.borrow_mut().history)?;
            if now >= next_look {
                next_look = now + BETWEEN_LOOKS;
                self.look(now)?;
            }
            if is_over && self.injector.is_done() {
                break;
            }
        }
        self.end()?;
        Ok(self.report())
    }

    /// Notes what is in the table, unless a power loss could still undo something of it: then what is seen
    /// need not stay, and nobody was told that it would.
    fn look(&mut self, at: Micros) -> anyhow::Result<()> {
        if self.disk.is_settled() {
            self.looks.extend(stored::read(self.database)?.map(|table| Look { at, table }));
        }
        Ok(())
    }

    /// Takes the power a last time, so that only what is durable counts.
    fn end(&mut self) -> anyhow::Result<()> {
        self.disk.power_off();
        INSTANCES.into_iter().for_each(|instance| self.sim.crash(instance));
        self.disk.power_on(&self.random)?;
        // A database that is gone lacks every account.
        let table = stored::read(self.database)?.unwrap_or_default();
        self.note(&table);
        self.looks.push(Look { at: AFTERWARDS, table });
        Ok(())
    }

    /// What is left at the end is part of the history: two runs that end differently did not go the same way.
    fn note(&self, table: &Table) {
        let history = &mut self.shared.borrow_mut().history;
        let at = micros(self.sim.elapsed());
        for Stored { account, version } in table.values() {
            let Account { id, email, name } = account;
            history.event(at, format_args!("left: {id} {email} {name:?} in version {version}"));
        }
    }

    fn report(self) -> Report {
        let history = &self.shared.borrow().history;
        let wrong = checker::violations(history.attempts(), history.power_losses(), &self.looks);
        Report::of(history, wrong, self.sim.elapsed(), self.injector.happened())
    }
}

fn network<'a>(seed: u64) -> Sim<'a> {
    /// Segments that a connection may have under way; beyond a listener's, turmoil gives up altogether.
    const CAPACITY: usize = 4_096;
    turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(WORK + PATIENCE)
        .tick_duration(Duration::from_millis(2))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(LATENCY)
        .tcp_capacity(CAPACITY)
        .enable_random_order()
        .rng_seed(seed)
        .build()
}

fn micros(elapsed: Duration) -> Micros {
    Micros::try_from(elapsed.as_micros()).expect("a simulation takes minutes")
}
