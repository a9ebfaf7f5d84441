use std::time::Duration;

use crate::figures::median;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it was to be.
    Answered,
    /// 429 or 503, with the time after which to come again.
    Refused,
    /// Another status.
    Status(u16),
    /// No whole answer came.
    Broken,
    /// Its client has no patience left.
    Late,
    /// Too many were under way.
    NotBegun,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// When it was to begin, from the first moment of the load.
    pub(crate) at: Duration,
    /// From then until its end.
    pub(crate) took: Duration,
    pub(crate) end: End,
    /// How often it was sent.
    pub(crate) attempts: u32,
}

impl Record {
    pub(crate) fn not_begun(at: Duration) -> Self {
        Self { at, took: Duration::ZERO, end: End::NotBegun, attempts: 0 }
    }
}

/// All requests of a load, in the order in which they were to begin. As every one is kept, what is said of them is exact.
#[derive(Debug)]
pub(crate) struct Timeline(Vec<Record>);

/// Those requests of a load that were to begin within a time.
pub(crate) struct Part<'a> {
    records: &'a [Record],
    all: &'a [Record],
    from: Duration,
    until: Duration,
}

impl Timeline {
    pub(crate) fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.at);
        Self(records)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.0.iter().map(|record| record.attempts).sum()
    }

    /// Those that were to begin at `from` or later, and before `until`.
    pub(crate) fn part(&self, from: Duration, until: Duration) -> Part<'_> {
        let place = |moment| self.0.partition_point(|record| record.at < moment);
        Part { records: &self.0[place(from)..place(until)], all: &self.0, from, until }
    }

    /// The whole seconds from one moment to another, one after the other.
    pub(crate) fn seconds(&self, from: Duration, until: Duration) -> impl Iterator<Item = Part<'_>> {
        let moment = move |nth| from + Duration::from_secs(nth);
        (0..until.saturating_sub(from).as_secs()).map(move |nth| self.part(moment(nth), moment(nth + 1)))
    }

    /// What the p99 of answers is in most seconds, in milliseconds: one in which the machine did something else does not
    /// count. Not a number when most have no answers.
    pub(crate) fn usual_p99(&self, from: Duration, until: Duration) -> f64 {
        median(self.seconds(from, until).map(|second| second.p99(End::Answered)).collect())
    }
}

impl Part<'_> {
    pub(crate) fn begun(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn count(&self, is: impl Fn(End) -> bool) -> usize {
        self.records.iter().filter(|record| is(record.end)).count()
    }

    /// How many answers came in this time, whenever their requests began.
    pub(crate) fn answers(&self) -> usize {
        let came = |record: &&Record| (self.from..self.until).contains(&(record.at + record.took));
        self.all.iter().filter(|record| record.end == End::Answered).filter(came).count()
    }

    /// Answers per second.
    pub(crate) fn goodput(&self) -> f64 {
        self.answers() as f64 / (self.until - self.from).as_secs_f64()
    }

    /// The answers that came as a share of the requests that began: without the chance in how many those were.
    pub(crate) fn kept_up(&self) -> f64 {
        self.answers() as f64 / self.begun() as f64
    }

    /// What 99 of 100 that ended so did not exceed, in milliseconds; not a number where there were none.
    pub(crate) fn p99(&self, end: End) -> f64 {
        self.quantile(end, 0.99)
    }

    pub(crate) fn median(&self, end: End) -> f64 {
        self.quantile(end, 0.5)
    }

    fn quantile(&self, end: End, share: f64) -> f64 {
        let ended = self.records.iter().filter(|record| record.end == end);
        let mut times: Vec<Duration> = ended.map(|record| record.took).collect();
        times.sort_unstable();
        let rank = (times.len() as f64 * share).ceil() as usize;
        times.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// How many ended in each way but with an answer, in words.
    pub(crate) fn failures(&self) -> String {
        let mut kinds: Vec<(End, usize)> = Vec::new();
        for end in self.records.iter().map(|record| record.end).filter(|&end| end != End::Answered) {
            match kinds.iter_mut().find(|(kind, _)| *kind == end) {
                Some((_, count)) => *count += 1,
                None => kinds.push((end, 1)),
            }
        }
        kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let told = kinds.iter().map(|(kind, count)| format!("{count} {kind:?}")).collect::<Vec<_>>();
        if told.is_empty() { "none".to_owned() } else { told.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64, took: u64, end: End) -> Record {
        Record { at: Duration::from_millis(at), took: Duration::from_millis(took), end, attempts: 1 }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_request_belongs_to_when_it_was_to_begin_and_its_answer_to_when_it_came() {
        let records = [record(1_000, 10, End::Answered), record(900, 1_200, End::Answered)];
        let timeline = Timeline::new(records.to_vec());
        let begun: Vec<usize> =
            timeline.seconds(Duration::ZERO, 3 * SECOND).map(|second| second.begun()).collect();
        let answers: Vec<usize> =
            timeline.seconds(Duration::ZERO, 3 * SECOND).map(|second| second.answers()).collect();
        assert_eq!((begun, answers), (vec![1, 1, 0], vec![0, 1, 1]));
    }

    #[test]
    fn of_a_hundred_answers_the_slowest_alone_is_beyond_p99() {
        let mut records: Vec<Record> = (1..=100).map(|took| record(took, took, End::Answered)).collect();
        records.push(record(5, 9_000, End::Late));
        let timeline = Timeline::new(records);
        let part = timeline.part(Duration::ZERO, SECOND);
        assert_eq!((part.p99(End::Answered), part.median(End::Answered)), (99.0, 50.0));
        assert!(part.p99(End::Refused).is_nan());
        assert_eq!(part.failures(), "1 Late");
    }

    #[test]
    fn one_bad_second_is_not_what_is_usual_and_seconds_without_answers_are_worse_than_any() {
        let of_seconds = |ends: [(u64, End); 4]| {
            let records = (0..).zip(ends).map(|(nth, (took, end))| record(nth * 1_000, took, end));
            Timeline::new(records.collect()).usual_p99(Duration::ZERO, 4 * SECOND)
        };
        let answered = |took| (took, End::Answered);
        assert_eq!(of_seconds([answered(5), answered(900), answered(6), answered(5)]), 6.0);
        let silent = (20, End::Refused);
        assert!(of_seconds([answered(5), silent, silent, answered(5)]).is_nan());
    }
}
