use std::collections::BTreeMap;

use crate::history::{Attempt, Micros, Operation, Outcome};

/// A name that an account was shown with. Names alone are followed: no two requests write the same.
struct Read<'a> {
    attempt: &'a Attempt,
    name: &'a str,
}

impl Read<'_> {
    fn is_before(&self, other: &Self) -> bool {
        self.attempt.ended < other.attempt.started
    }
}

/// Reads that show a name again after a later read has shown another. A power loss between them excuses it, since
/// nobody promised that what is read is durable; and a name that was asked for more than once may have been set again.
pub(super) fn gone_back(attempts: &[Attempt], power_losses: &[Micros]) -> Vec<String> {
    let asked = times_asked(attempts);
    let mut found = Vec::new();
    for reads in by_account(attempts).values() {
        for between in reads {
            let others = reads.iter().filter(|it| it.name != between.name && asked.get(it.name) == Some(&1));
            for later in others.filter(|it| between.is_before(it)) {
                let earlier = reads.iter().filter(|it| it.name == later.name && it.is_before(between));
                let mut unexcused = earlier.filter(|earlier| {
                    let span = earlier.attempt.started..=later.attempt.ended;
                    !power_losses.iter().any(|moment| span.contains(moment))
                });
                if unexcused.next().is_some() {
                    found.push(format!("a read goes back: {} and then {}", between.attempt, later.attempt));
                }
            }
        }
    }
    found
}

fn times_asked(attempts: &[Attempt]) -> BTreeMap<&str, usize> {
    let mut asked = BTreeMap::new();
    for attempt in attempts {
        if let Operation::Create { name, .. } | Operation::Update { name: Some(name), .. } =
            &attempt.operation
        {
            *asked.entry(name.as_str()).or_default() += 1;
        }
    }
    asked
}

fn by_account(attempts: &[Attempt]) -> BTreeMap<&str, Vec<Read<'_>>> {
    let mut reads = BTreeMap::<_, Vec<_>>::new();
    for attempt in attempts {
        if let Outcome::Done(Some(account)) = &attempt.outcome {
            reads.entry(account.id.as_str()).or_default().push(Read { attempt, name: &account.name });
        }
    }
    reads
}
