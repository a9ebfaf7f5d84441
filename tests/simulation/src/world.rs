//! One seed from beginning to end.

mod instance;
mod stored;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use mad_turmoil::time::SimClocksGuard;
use rand::SeedableRng as _;
use runtime::Random;
use service_auth::{Identity, LocalCa, SpiffeId, TrustDomain};
use turmoil::Sim;
use types::ServiceName;

use crate::checker::{self, AFTERWARDS, Look, Stored, Table};
use crate::client::{Client, Shared};
use crate::customer::Customer;
use crate::faults::{self, Injector, WORK};
use crate::history::{Account, Micros};
use crate::hosts::{CLIENTS, CUSTOMERS, INSTANCES, LATENCY, OPERATOR, Site};
use crate::lookout::Lookout;
use crate::net::Traffic;
use crate::operator::Operator;
use crate::report::{LONGEST_STORY, Report};
use crate::storage::Disk;
use crate::time;

use self::instance::{Instance, Town};

/// How long reading back may take after that; far more than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the table is looked at for what cannot be in it then.
const BETWEEN_LOOKS: Micros = 1_000_000;

/// Runs a seed. Once per process: randomness and clocks are the process's own.
///
/// # Errors
/// The world itself broke; what a service does wrong stands in the report.
pub fn run(seed: u64) -> anyhow::Result<Report> {
    let directory = tempfile::tempdir().context("making a directory for the databases")?;
    let identities = Identities::issue(&directory.path().join("ca"))?;
    mad_turmoil::rand::set_rng(rand::rngs::StdRng::seed_from_u64(seed));
    let _clocks = SimClocksGuard::init();
    World::new(seed, directory.path(), &identities)?.run()
}

/// The certificates, made outside the simulation: keys come from a source that cannot be seeded.
struct Identities {
    services: BTreeMap<Site, Identity>,
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
        let mut services = BTreeMap::new();
        for site in Site::ALL {
            let id = SpiffeId::service(&trust_domain, &ServiceName::new(site.service()));
            services.insert(site, identity(&id)?);
        }
        Ok(Self { services, operator: identity(&SpiffeId::operator(&trust_domain))? })
    }
}

struct World<'a> {
    sim: Sim<'a>,
    disks: BTreeMap<Site, Disk>,
    injector: Injector,
    shared: Rc<RefCell<Shared>>,
    directory: &'a Path,
    random: Random,
    traffic: Traffic,
    lookout: Lookout,
    looks: Vec<Look>,
}

impl<'a> World<'a> {
    fn new(seed: u64, directory: &'a Path, identities: &Identities) -> anyhow::Result<Self> {
        let random = Random::seeded(seed);
        let mut disks = BTreeMap::new();
        for site in Site::ALL {
            let disk = Disk::new(move |cut| Injector::cut(site, cut));
            site.instances().iter().try_for_each(|instance| disk.attach(instance))?;
            disks.insert(site, disk);
        }
        let planned = faults::plan(&random);
        let traffic = Traffic::default();
        let injector = Injector::new(&disks, traffic.clone(), random.clone(), planned);
        let mut world = Self {
            sim: network(seed),
            disks,
            injector,
            shared: Rc::default(),
            directory,
            random,
            traffic,
            lookout: Lookout::default(),
            looks: Vec::new(),
        };
        world.start_services(identities);
        world.start_clients(identities);
        Ok(world)
    }

    fn start_services(&mut self, identities: &Identities) {
        // The addresses are given out in the order of the first look.
        let town = Town::new(|host| self.sim.lookup(host));
        for site in Site::ALL {
            for name in site.instances().iter().copied() {
                let instance = Instance {
                    site,
                    name,
                    database: database(self.directory, site),
                    disk: self.disks[&site].clone(),
                    identity: identities.services[&site].clone(),
                    random: self.random.clone(),
                    traffic: self.traffic.clone(),
                    lookout: self.lookout.clone(),
                    orders: self.injector.orders(name),
                    town: town.clone(),
                };
                self.sim.host(name, move || instance.clone().run());
            }
        }
        self.shared.borrow_mut().history.circumstances_mut().gateway_starts.push(0);
    }

    fn start_clients(&mut self, identities: &Identities) {
        for (share, name) in CLIENTS.into_iter().enumerate() {
            let (random, shared) = (self.random.clone(), Rc::clone(&self.shared));
            let client = Client::new(name, &identities.operator, random, shared, &self.traffic);
            self.sim.client(name, async move {
                client.run(WORK, share, CLIENTS.len()).await;
                Ok(())
            });
        }
        for (share, name) in CUSTOMERS.into_iter().enumerate() {
            let (random, shared) = (self.random.clone(), Rc::clone(&self.shared));
            let customer = Customer::new(name, random, shared, &self.traffic);
            self.sim.client(name, async move {
                customer.run(WORK, share, CUSTOMERS.len()).await;
                Ok(())
            });
        }
        let (random, shared) = (self.random.clone(), Rc::clone(&self.shared));
        let operator = Operator::new(&identities.operator, random, shared, &self.traffic);
        self.sim.client(OPERATOR, async move {
            operator.run(WORK).await;
            Ok(())
        });
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let went = self.go();
        went.with_context(|| self.shared.borrow().history.about(&[], LONGEST_STORY).join("\n"))?;
        self.end()?;
        Ok(self.report())
    }

    /// Lets time pass until everybody is done.
    fn go(&mut self) -> anyhow::Result<()> {
        let mut next_look = BETWEEN_LOOKS;
        loop {
            let is_over = self.sim.step().map_err(|error| anyhow!("the simulation stopped: {error}"))?;
            let now = micros(self.sim.elapsed());
            self.advance(now)?;
            if now >= next_look {
                next_look = now + BETWEEN_LOOKS;
                self.look(now)?;
            }
            if is_over && self.injector.is_done() {
                return Ok(());
            }
        }
    }

    /// Notes what services sent to each other, and makes happen what is due.
    fn advance(&mut self, now: Micros) -> anyhow::Result<()> {
        let history = &mut self.shared.borrow_mut().history;
        self.lookout.take().into_iter().for_each(|sight| history.sight(sight));
        self.injector.advance(&mut self.sim, now, history)
    }

    /// Notes which instances are not sent to, and what is in the table, unless a power loss could still undo something of it: then what is seen
    /// need not stay, and nobody was told that it would.
    fn look(&mut self, at: Micros) -> anyhow::Result<()> {
        let ailing = self.lookout.ailing(at);
        ailing.into_iter().for_each(|ailing| self.shared.borrow_mut().history.ailing(ailing));
        if self.disks[&Site::Users].is_settled() {
            self.looks.extend(self.users()?.map(|table| Look { at, table }));
        }
        Ok(())
    }

    fn users(&self) -> anyhow::Result<Option<Table>> {
        stored::read(&database(self.directory, Site::Users))
    }

    /// Takes the power a last time, so that only what is durable counts.
    fn end(&mut self) -> anyhow::Result<()> {
        self.disks.values().for_each(Disk::power_off);
        INSTANCES.into_iter().for_each(|instance| self.sim.crash(instance));
        self.disks.values().try_for_each(|disk| disk.power_on(&self.random).map(drop))?;
        // A database that is gone lacks every account.
        let table = self.users()?.unwrap_or_default();
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
        let wrong = checker::violations(history, &self.looks);
        Report::of(history, wrong, self.sim.elapsed(), self.injector.happened())
    }
}

fn database(directory: &Path, site: Site) -> PathBuf {
    directory.join(format!("{}.db", site.service()))
}

fn network<'a>(seed: u64) -> Sim<'a> {
    /// Segments that a connection may have under way; beyond a listener's, turmoil gives up altogether.
    const CAPACITY: usize = 4_096;
    turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(WORK + PATIENCE)
        .tick_duration(Duration::from_millis(5))
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
