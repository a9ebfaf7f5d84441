//! The disk's power switch, and the processes that write to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::Random;

use super::journal::{Change, FileId, Files, Journal};
use super::vfs;

/// A disk for the databases of one host, which several processes of that host write to.
///
/// Each process opens its databases through a SQLite VFS of its own name ([`Disk::attach`]). After a
/// [`Disk::kill`] or [`Disk::power_off`] every call of the processes concerned fails, so that a destructor
/// that runs in the simulation, but would not have run after a real `kill -9`, can change nothing. Both can
/// be set off in the middle of a transaction, by counting down the changes that still succeed. While the disk
/// refuses ([`Disk::refuse`]), changes fail and the processes live on.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

/// What ended in the middle of a call, as told to the one who watches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The whole host has no power.
    Power,
    /// One process was killed: the one that opens files through this VFS.
    Process(&'static str),
}

/// What a power loss did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many changes nobody had waited for, which may each be lost, kept or torn.
    pub unsynced: usize,
}

/// Why the disk could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// SQLite has no default VFS, or refused ours.
    #[error("SQLite did not take the VFS {0}")]
    Register(&'static str),
    /// A process survived the power loss: it still has files open.
    #[error("the power comes back while {0} files are open")]
    StillOpen(usize),
    /// The machine's own disk failed.
    #[error("the files under the simulated disk")]
    Io(#[from] io::Error),
}

/// How a disk refuses changes to processes that live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no room for what is to be written.
    Full,
    /// Every change fails.
    Broken,
}

/// Why a call did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The process is dead.
    Dead,
    /// The disk refused.
    Refused(Refusal),
}

struct State {
    power: Supply,
    refusal: Option<Refusal>,
    refused: u64,
    processes: BTreeMap<&'static str, Supply>,
    open: usize,
    /// Who is in the middle of a transaction that writes.
    writer: Option<&'static str>,
    /// How many of those were begun.
    begun: u64,
    journal: Journal,
    watch: Arc<dyn Fn(Cut) + Send + Sync>,
}

/// What lets a change happen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    On,
    /// So many changes more.
    Fused(u32),
    Off,
}

impl Supply {
    /// Uses up one change. Whether it may happen, and whether it was the first that may not.
    fn draw(&mut self) -> (bool, bool) {
        match *self {
            Self::On => (true, false),
            Self::Fused(0) => {
                *self = Self::Off;
                (false, true)
            }
            Self::Fused(left) => {
                *self = Self::Fused(left - 1);
                (true, false)
            }
            Self::Off => (false, false),
        }
    }
}

impl Disk {
    /// A disk with power. `watch` is told at once when a countdown ends, inside the call that failed.
    pub fn new(watch: impl Fn(Cut) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            power: Supply::On,
            refusal: None,
            refused: 0,
            processes: BTreeMap::new(),
            open: 0,
            writer: None,
            begun: 0,
            journal: Journal::default(),
            watch: Arc::new(watch),
        })))
    }

    /// Makes the disk known to SQLite as the VFS `process`, through which one process opens its files. A
    /// name is for one disk and for the life of the program.
    ///
    /// # Errors
    /// [`DiskError::Register`].
    pub fn attach(&self, process: &'static str) -> Result<(), DiskError> {
        self.state().processes.insert(process, Supply::On);
        vfs::register(self, process)
    }

    /// From now on every call of the process fails. What it wrote is in the kernel's hands and stays.
    pub fn kill(&self, process: &'static str) {
        self.state().processes.insert(process, Supply::Off);
    }

    /// Kills the process at the change after the next `changes` of its own.
    pub fn kill_after(&self, process: &'static str, changes: u32) {
        self.state().processes.insert(process, Supply::Fused(changes));
    }

    /// Lets the process be started again.
    pub fn revive(&self, process: &'static str) {
        self.state().processes.insert(process, Supply::On);
    }

    /// From now on every call of every process fails, and what was not synced is at risk.
    pub fn power_off(&self) {
        self.state().power = Supply::Off;
    }

    /// Takes the power at the change after the next `changes`, whoever makes them.
    pub fn power_off_after(&self, changes: u32) {
        self.state().power = Supply::Fused(changes);
    }

    /// From now on changes are refused to all processes.
    pub fn refuse(&self, how: Refusal) {
        self.state().refusal = Some(how);
    }

    /// From now on changes are taken again.
    pub fn accept(&self) {
        self.state().refusal = None;
    }

    /// How many changes were ever refused.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Brings every file into the state that `random` chooses among those a power loss may leave, and lets
    /// all processes be started again. Shared memory is gone, as it is after a boot.
    ///
    /// # Errors
    /// [`DiskError`]: a file is still open, or the machine's own disk failed.
    pub fn power_on(&self, random: &Random) -> Result<Lost, DiskError> {
        let mut state = self.state();
        if state.open > 0 {
            return Err(DiskError::StillOpen(state.open));
        }
        let lost = Lost { unsynced: state.journal.len() };
        let paths = state.journal.paths();
        let found = read(state.journal.names())?;
        let left = state.journal.lose_power(found, random);
        write(&paths, &left)?;
        state.power = Supply::On;
        state.processes.values_mut().for_each(|process| *process = Supply::On);
        Ok(lost)
    }

    /// The number of the transaction that writes now, if one does.
    pub fn writing(&self) -> Option<u64> {
        let state = self.state();
        state.writer.map(|_| state.begun)
    }

    /// Whether everything that was written is durable.
    pub fn is_settled(&self) -> bool {
        self.state().journal.len() == 0
    }

    /// Whether a call of this process may still change something.
    pub fn is_alive(&self, process: &str) -> bool {
        let state = self.state();
        state.power != Supply::Off && state.processes.get(process) != Some(&Supply::Off)
    }

    /// A call that only reads.
    pub(super) fn read(&self, process: &str) -> Result<(), Failed> {
        if self.is_alive(process) { Ok(()) } else { Err(Failed::Dead) }
    }

    /// A call that takes room.
    pub(super) fn write(&self, process: &'static str) -> Result<(), Failed> {
        self.draw(process)?;
        self.state().accepts(|_| true)
    }

    /// A call that changes something and takes no room.
    pub(super) fn change(&self, process: &'static str) -> Result<(), Failed> {
        self.draw(process)?;
        self.state().accepts(|refusal| refusal == Refusal::Broken)
    }

    /// Counts down what the countdowns count: changes of every kind.
    fn draw(&self, process: &'static str) -> Result<(), Failed> {
        let mut state = self.state();
        let (powered, power_cut) = state.power.draw();
        let (alive, killed) = if powered {
            state.processes.entry(process).or_insert(Supply::On).draw()
        } else {
            (false, false)
        };
        let watch = Arc::clone(&state.watch);
        drop(state);
        // Outside the lock, because whoever watches may ask the disk something.
        if power_cut {
            watch(Cut::Power);
        }
        if killed {
            watch(Cut::Process(process));
        }
        if alive { Ok(()) } else { Err(Failed::Dead) }
    }

    /// A process begins to write, or has ended to.
    pub(super) fn writes(&self, process: &'static str, begins: bool) {
        let mut state = self.state();
        if begins {
            state.writer = Some(process);
            state.begun += 1;
        } else if state.writer == Some(process) {
            state.writer = None;
        }
    }

    pub(super) fn opened(&self, path: &Path, created: bool) -> FileId {
        let mut state = self.state();
        state.open += 1;
        if created { state.journal.create(path) } else { state.journal.open(path) }
    }

    pub(super) fn closed(&self) {
        self.state().open -= 1;
    }

    pub(super) fn changed(&self, change: Change) {
        self.state().journal.push(change);
    }

    pub(super) fn deleted(&self, path: &Path, content: Vec<u8>) {
        self.state().journal.delete(path, content);
    }

    pub(super) fn synced(&self, file: FileId) {
        self.state().journal.sync(file);
    }

    pub(super) fn directory_synced(&self) {
        self.state().journal.sync_directory();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn accepts(&mut self, is_concerned: impl Fn(Refusal) -> bool) -> Result<(), Failed> {
        let Some(refusal) = self.refusal.filter(|&refusal| is_concerned(refusal)) else { return Ok(()) };
        self.refused += 1;
        Err(Failed::Refused(refusal))
    }
}

fn read(names: &BTreeMap<PathBuf, FileId>) -> io::Result<Files> {
    let mut contents = BTreeMap::new();
    for (path, &file) in names {
        contents.insert(file, fs::read(path)?);
    }
    Ok(Files { names: names.clone(), contents })
}

fn write(paths: &BTreeSet<PathBuf>, files: &Files) -> io::Result<()> {
    for path in paths {
        match files.names.get(path).and_then(|file| files.contents.get(file)) {
            Some(content) => fs::write(path, content)?,
            None => remove(path)?,
        }
        let mut shared_memory = path.clone().into_os_string();
        shared_memory.push("-shm");
        remove(Path::new(&shared_memory))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
