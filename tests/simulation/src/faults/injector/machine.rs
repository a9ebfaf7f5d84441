use anyhow::Context as _;
use runtime::Random;

use crate::history::Micros;
use crate::storage::{Disk, Lost, Refusal};

/// A machine with its disk: whether it has power, and what the disk refuses.
pub(super) struct Machine {
    disk: Disk,
    /// When the power comes back.
    dark_until: Option<Micros>,
    refusing: Option<Refusing>,
    /// The transaction that writes, and since when.
    writing: Option<(u64, Micros)>,
    /// When the disk was last seen to hang.
    hung: Option<Micros>,
}

/// A disk that takes no changes.
struct Refusing {
    kind: &'static str,
    until: Micros,
    /// How many changes were ever refused before.
    before: u64,
}

impl Machine {
    pub(super) fn with(disk: Disk) -> Self {
        Self { disk, dark_until: None, refusing: None, writing: None, hung: None }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn is_dark(&self) -> bool {
        self.dark_until.is_some()
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.refusing.is_some()
    }

    pub(super) fn is_well(&self) -> bool {
        !self.is_dark() && !self.is_refusing()
    }

    /// Since when the disk hangs, if it does: no transaction that writes takes so long otherwise.
    pub(super) fn hangs_since(&mut self, now: Micros) -> Option<Micros> {
        /// Longer than any other commit takes.
        const COMMIT: Micros = 100_000;
        let before = self.writing;
        let since = |number| before.filter(|(same, _)| *same == number).map_or(now, |(_, since)| since);
        self.writing = self.disk.writing().map(|number| (number, since(number)));
        let hangs_since = self.writing.map(|(_, since)| since).filter(|since| now - since > COMMIT);
        self.hung = hangs_since.map(|_| now).or(self.hung);
        hangs_since
    }

    pub(super) fn has_hung_since(&self, since: Micros) -> bool {
        self.hung.is_some_and(|hung| hung >= since)
    }

    pub(super) fn darken(&mut self, until: Micros) {
        self.disk.power_off();
        self.dark_until = Some(until);
    }

    /// Brings the power back if it is time, and tells what was at risk then.
    pub(super) fn light(&mut self, now: Micros, random: &Random) -> anyhow::Result<Option<Lost>> {
        match self.dark_until.take_if(|until| *until <= now) {
            Some(_) => self.disk.power_on(random).map(Some).context("bringing the power back"),
            None => Ok(None),
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, kind: &'static str, until: Micros) {
        self.refusing = Some(Refusing { kind, until, before: self.disk.refused() });
        self.disk.refuse(refusal);
    }

    /// Ends the refusal if it is time. Its kind, if anybody has felt it.
    pub(super) fn end_refusal(&mut self, now: Micros) -> Option<&'static str> {
        let Refusing { kind, before, .. } = self.refusing.take_if(|refusing| refusing.until <= now)?;
        self.disk.accept();
        (self.disk.refused() > before).then_some(kind)
    }
}
