use std::net::SocketAddr;
use std::time::Duration;

use proto::Repeatable;
use resilience::{Place, RetryAfter};
use runtime::Deadline;
use tokio::time::sleep;
use types::{Classify as _, ErrorClass};

use super::{BACKOFF, Callee, LONGEST_REST, Terms};
use crate::told::Refusal;
use crate::witness::Watch;
use crate::{Outcome, SendError, What, passed_on};

/// The attempts at one request. Its place in the bulkhead is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    callee: &'a Callee,
    terms: Terms,
    deadline: Deadline,
    repeatable: Repeatable,
    /// Which one it is, from one.
    number: u32,
    /// Whether the next one has been paid for.
    is_paid: bool,
    /// Whether a silent instance has been left for another.
    has_left: bool,
    /// The first of them of which it is not known whether it had an effect.
    doubt: Option<SendError>,
    pub(crate) watch: Watch,
    _place: Place,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Came<T> {
    /// An answer by which it was done.
    Answer(T),
    /// An answer by which it could not be done, and could not be another time.
    Error(T),
    /// An answer by which nothing happened.
    Refusal(T, Refusal),
    /// None.
    Failure(SendError),
}

impl<T> Came<T> {
    /// An answer, by what its head says.
    pub(crate) fn answer(answer: T, refusal: Option<Refusal>, is_error: bool) -> Self {
        match refusal {
            Some(refusal) => Self::Refusal(answer, refusal),
            None if is_error => Self::Error(answer),
            None => Self::Answer(answer),
        }
    }

    /// Whether somebody has said something about the matter.
    pub(crate) fn is_an_answer(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Error(_))
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Answer(_) | Self::Error(_) => Outcome::Answered,
            Self::Refusal(_, Refusal::Doubtful(_)) => Outcome::Unknown,
            Self::Refusal(..) => Outcome::Undone,
            Self::Failure(error) if error.class() == ErrorClass::Unavailable => Outcome::Undone,
            Self::Failure(_) => Outcome::Unknown,
        }
    }
}

impl<'a> Attempts<'a> {
    pub(super) fn begin(
        callee: &'a Callee,
        terms: Terms,
        deadline: Deadline,
        repeatable: Repeatable,
        place: Place,
        watch: Watch,
    ) -> Self {
        callee.metrics.attempt();
        let (number, is_paid, has_left, doubt) = (1, false, false, None);
        Self { callee, terms, deadline, repeatable, number, is_paid, has_left, doubt, watch, _place: place }
    }

    /// Tells whoever watches that the instance of `addr` is sent to and told of `deadline`.
    pub(crate) fn sent(&self, addr: SocketAddr, deadline: Deadline) {
        self.watch.tell(|| What::Sent { addr, number: self.number, left: deadline.remaining() });
    }

    /// Whether there may be another attempt at all, so that what is sent is worth keeping.
    pub(crate) fn may_go_on(&self) -> bool {
        self.number < self.terms.attempts
    }

    /// Whether another instance may be asked beside one that says nothing, which is paid for then. That is done once:
    /// where the second takes as long, it is the request that takes so long.
    pub(crate) fn may_leave(&mut self) -> bool {
        self.repeatable != Repeatable::No && !self.has_left && self.may_go_on() && self.pay()
    }

    /// Notes that another instance is asked beside one that says nothing.
    pub(crate) fn left(&mut self) {
        self.watch.tell(|| What::Came(Outcome::Silent));
        self.doubt.get_or_insert(SendError::Silent);
        self.has_left = true;
        self.next();
    }

    fn next(&mut self) {
        (self.number, self.is_paid) = (self.number + 1, false);
        self.callee.metrics.repeated();
    }

    /// What `came` if that is the end, or nothing after a pause before the next attempt. `can_be_sent` tells whether the
    /// request is still all there.
    pub(crate) async fn after<T>(&mut self, came: Came<T>, can_be_sent: bool) -> Option<Came<T>> {
        self.watch.tell(|| What::Came(came.outcome()));
        let not_before = match &came {
            Came::Refusal(_, Refusal::Elsewhere) => Some(Duration::ZERO),
            Came::Refusal(_, Refusal::Passing(rest)) if *rest <= LONGEST_REST => Some(*rest),
            Came::Refusal(_, Refusal::Doubtful(rest))
                if *rest <= LONGEST_REST && self.repeatable != Repeatable::No =>
            {
                Some(*rest)
            }
            Came::Failure(error) if self.may_repeat(error) => Some(Duration::ZERO),
            Came::Answer(_) | Came::Error(_) | Came::Refusal(..) | Came::Failure(_) => None,
        };
        let backoff = |told| BACKOFF.pause_after(RetryAfter(told), self.number - 1, &self.callee.random);
        // Whoever goes to another instance after the first refusal meets nobody there who failed with it.
        let is_at_once = self.number == 1 && matches!(came, Came::Refusal(_, Refusal::Elsewhere));
        let pause = not_before.map(|told| if is_at_once { told } else { backoff(told) });
        let in_time = pause.filter(|pause| *pause < self.deadline.remaining());
        let Some(pause) = in_time.filter(|_| can_be_sent && self.may_go_on() && self.pay()) else {
            return Some(came);
        };
        match came {
            Came::Failure(error) if error.class() == ErrorClass::Unknown => {
                self.doubt.get_or_insert(error);
            }
            Came::Refusal(_, Refusal::Doubtful(_)) => {
                self.doubt.get_or_insert(SendError::Vague);
            }
            _ => {}
        }
        if !pause.is_zero() {
            sleep(pause).await;
        }
        self.next();
        None
    }

    fn may_repeat(&self, error: &SendError) -> bool {
        error.is_of_an_instance()
            && match error.class() {
                ErrorClass::Unavailable => true,
                ErrorClass::Unknown => self.repeatable != Repeatable::No,
                _ => false,
            }
    }

    fn pay(&mut self) -> bool {
        if !self.is_paid && self.callee.budget.try_retry() {
            self.is_paid = true;
            self.watch.tell(|| What::Paid);
        }
        self.is_paid
    }

    /// The outcome. Where an earlier attempt may have had an effect, it is not true that nothing happened, and an error may
    /// be the consequence of that effect: what was deleted is not found, what was changed has another version.
    pub(crate) fn settled<T>(mut self, came: Came<T>) -> Result<T, SendError> {
        let has_failed = matches!(came, Came::Refusal(..) | Came::Failure(_));
        let outcome = match came {
            Came::Answer(answer) => Ok(answer),
            Came::Error(answer) | Came::Refusal(answer, _)
                if self.repeatable == Repeatable::WithoutEffect =>
            {
                Ok(answer)
            }
            Came::Error(answer) => self.doubt.take().map_or(Ok(answer), Err),
            Came::Refusal(_, Refusal::Doubtful(_)) => Err(self.doubt.take().unwrap_or(SendError::Vague)),
            Came::Refusal(answer, _) => self.doubt.take().map_or(Ok(answer), Err),
            Came::Failure(error) if error.class() == ErrorClass::Unavailable => {
                Err(self.doubt.take().unwrap_or(error))
            }
            Came::Failure(error) => Err(error),
        };
        passed_on::note_end(has_failed);
        self.callee.metrics.ended(&outcome.as_ref().map(|_| ()));
        outcome
    }
}
