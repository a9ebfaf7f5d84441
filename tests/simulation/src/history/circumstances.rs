//! What happened to the world, as far as it decides what may be expected of the platform.

use super::Micros;

/// How long after a trouble its traces may last: a silent stream is given up after 5 seconds, and what takes its place
/// may be sent into a dead connection once and be given up after 2 more, with pauses in between.
pub const RECOVERY: Micros = 10_000_000;

/// Power losses, starts of the gateway, and when all that it stands on was well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// When the machine with the accounts lost its power, up to which reads may show what is taken back.
    pub power_losses: Vec<Micros>,
    /// When a gateway was started; before that there is none, or another.
    pub gateway_starts: Vec<Micros>,
    /// From when to when a gateway that had no keys yet could not reach who has them.
    pub keyless: Vec<(Micros, Micros)>,
    /// From when to when every process ran, with a disk, and nothing troubled a way between any two of them.
    quiet: Vec<(Micros, Micros)>,
    /// From when to when a disk let a commit wait, in the order in which they were noticed.
    hangs: Vec<(Micros, Micros)>,
}

impl Circumstances {
    /// Notes whether all is well now. To be called in the order of time.
    pub fn note_quiet(&mut self, now: Micros, is_quiet: bool) {
        let is_open = self.quiet.last().is_some_and(|(_, until)| *until == Micros::MAX);
        match (is_open, is_quiet) {
            (false, true) => self.quiet.push((now, Micros::MAX)),
            (true, false) => self.quiet.last_mut().expect("one is open").1 = now,
            _ => {}
        }
    }

    /// Notes that a disk hangs, and since when.
    pub fn note_hang(&mut self, since: Micros, now: Micros) {
        match self.hangs.iter_mut().rev().find(|(begin, _)| *begin == since) {
            Some((_, until)) => *until = now,
            None => self.hangs.push((since, now)),
        }
    }

    /// Whether, between the two moments, the platform had recovered from everything for `long` at a stretch, with the
    /// gateway that is there in the end.
    pub fn were_well(&self, from: Micros, until: Micros, long: Micros) -> bool {
        self.well(from, until).any(|(from, until)| until.saturating_sub(from) >= long)
    }

    /// The same, for what has to be written once more on the way: no disk hung then, either.
    pub fn could_write(&self, from: Micros, until: Micros, long: Micros) -> bool {
        self.well(from, until).any(|(from, until)| self.had_its_disks(from, until, long))
    }

    /// Since when, at this moment, the platform has recovered from everything, disks that hung among it; never, if it has
    /// not.
    pub fn well_since(&self, moment: Micros) -> Option<Micros> {
        let (since, _) = self.well(0, moment).find(|(since, until)| since <= until && *until == moment)?;
        let hangs = self.hangs.iter().filter(|(begin, _)| *begin <= moment).map(|(_, end)| *end);
        Some(hangs.fold(since, Micros::max)).filter(|since| *since <= moment)
    }

    fn well(&self, from: Micros, until: Micros) -> impl Iterator<Item = (Micros, Micros)> {
        let starts = self.gateway_starts.iter().copied();
        let start = starts.filter(|start| *start <= until).max().unwrap_or_default();
        self.quiet.iter().map(move |(begin, end)| (from.max(start.max(*begin) + RECOVERY), until.min(*end)))
    }

    /// Whether there was such a stretch in which no disk hung.
    fn had_its_disks(&self, from: Micros, until: Micros, long: Micros) -> bool {
        let mut hangs: Vec<_> = self.hangs.iter().filter(|(_, end)| *end > from).collect();
        hangs.sort_unstable();
        let mut from = from;
        for (begin, end) in hangs {
            if until.min(*begin).saturating_sub(from) >= long {
                return true;
            }
            from = from.max(*end);
        }
        until.saturating_sub(from) >= long
    }

    /// Whether at no moment between the two a gateway can have had keys.
    pub fn are_keyless(&self, from: Micros, until: Micros) -> bool {
        self.keyless.iter().any(|(begin, end)| *begin <= from && until <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_some_time_after_a_trouble_and_after_the_start_of_the_gateway() {
        const R: Micros = RECOVERY;
        let mut circumstances = Circumstances { gateway_starts: vec![0, 5 * R], ..Circumstances::default() };
        for (now, is_quiet) in
            [(0, true), (1, true), (R + 9, false), (2 * R, true), (8 * R, false), (9 * R, false)]
        {
            circumstances.note_quiet(now, is_quiet);
        }
        let were_well = |from, until, long| circumstances.were_well(from, until, long);
        assert!(were_well(0, R + 9, 9));
        assert!(!were_well(0, R + 9, 10), "it takes time to recover");
        assert!(!were_well(0, 2 * R + 9, 10), "there was trouble in between");
        assert!(!were_well(0, 3 * R + 9, 10) && were_well(0, 3 * R + 10, 10));
        assert!(!were_well(3 * R + 5, 3 * R + 14, 10), "only from the first moment on");
        assert!(!were_well(0, 6 * R + 9, 10) && were_well(0, 6 * R + 10, 10), "the gateway started at 5 R");
        assert!(
            were_well(0, 9 * R, 2 * R) && !were_well(0, 9 * R, 2 * R + 1),
            "the last trouble began at 8 R"
        );
    }

    #[test]
    fn nothing_can_be_written_while_a_disk_hangs() {
        const R: Micros = RECOVERY;
        let mut circumstances = Circumstances { gateway_starts: vec![0], ..Circumstances::default() };
        circumstances.note_quiet(0, true);
        // Two disks, of which the second hangs longer.
        for now in [R + 12, R + 20] {
            circumstances.note_hang(R + 10, now);
            circumstances.note_hang(R + 11, now + 10);
        }
        let could_write = |from, until, long| circumstances.could_write(from, until, long);
        assert!(could_write(0, R + 10, 10) && !could_write(0, R + 15, 11));
        assert!(!could_write(R + 1, R + 39, 10) && could_write(R + 1, R + 40, 10));
        assert!(circumstances.were_well(R + 1, R + 39, 38));
    }

    #[test]
    fn the_moment_is_known_since_when_all_is_well() {
        const R: Micros = RECOVERY;
        let mut circumstances = Circumstances { gateway_starts: vec![0], ..Circumstances::default() };
        for (now, is_quiet) in [(5, true), (R + 20, false), (R + 30, true)] {
            circumstances.note_quiet(now, is_quiet);
        }
        let well_since = |moment| circumstances.well_since(moment);
        assert_eq!([well_since(R + 4), well_since(R + 5)], [None, Some(R + 5)]);
        assert_eq!([well_since(R + 21), well_since(2 * R + 29)], [None, None]);
        assert_eq!(well_since(3 * R), Some(2 * R + 30));
        circumstances.note_hang(R + 25, 2 * R + 40);
        assert_eq!(circumstances.well_since(3 * R), Some(2 * R + 40), "a disk hung longer");
    }

    #[test]
    fn no_moment_of_a_keyless_call_may_lie_outside() {
        let circumstances = Circumstances { keyless: vec![(10, 20)], ..Circumstances::default() };
        assert!(circumstances.are_keyless(10, 20));
        assert!(!circumstances.are_keyless(9, 20));
        assert!(!circumstances.are_keyless(10, 21));
    }
}
