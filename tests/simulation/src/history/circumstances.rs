//! What happened to the world, as far as it decides what may be expected of the platform.

use super::Micros;

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

    /// Whether, between the two moments, all was well for `long` at a stretch, and the gateway of `until` was there
    /// all the while.
    pub fn were_quiet(&self, from: Micros, until: Micros, long: Micros) -> bool {
        let start = self.gateway_starts.iter().copied().filter(|start| *start <= until).max();
        let from = from.max(start.unwrap_or_default());
        self.quiet.iter().any(|(begin, end)| (*end).min(until).saturating_sub(from.max(*begin)) >= long)
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
    fn a_quiet_stretch_lies_between_two_troubles_and_within_the_life_of_a_gateway() {
        let mut circumstances = Circumstances { gateway_starts: vec![0, 50], ..Circumstances::default() };
        for (now, is_quiet) in [(0, true), (5, true), (10, false), (20, true), (60, false), (70, false)] {
            circumstances.note_quiet(now, is_quiet);
        }
        assert!(circumstances.were_quiet(0, 10, 10));
        assert!(!circumstances.were_quiet(0, 25, 11), "there was trouble in between");
        assert!(circumstances.were_quiet(5, 40, 20));
        assert!(!circumstances.were_quiet(25, 40, 16), "only from the first moment on");
        assert!(!circumstances.were_quiet(20, 59, 10), "the gateway of 59 started at 50");
        circumstances.note_quiet(80, true);
        assert!(circumstances.were_quiet(0, 100, 20));
        assert!(!circumstances.were_quiet(0, 100, 21));
    }

    #[test]
    fn no_moment_of_a_keyless_call_may_lie_outside() {
        let circumstances = Circumstances { keyless: vec![(10, 20)], ..Circumstances::default() };
        assert!(circumstances.are_keyless(10, 20));
        assert!(!circumstances.are_keyless(9, 20));
        assert!(!circumstances.are_keyless(10, 21));
    }
}
