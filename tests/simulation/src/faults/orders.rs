use std::cell::RefCell;
use std::rc::Rc;

use chassis::RunError;
use tokio_util::sync::CancellationToken;

/// What tells an instance to end in order, and how it did. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Orders(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    shutdown: CancellationToken,
    ended: Option<Result<(), RunError>>,
}

impl Orders {
    /// What will tell the process to end.
    pub fn shutdown(&self) -> CancellationToken {
        self.0.borrow().shutdown.clone()
    }

    /// Notes how the process has ended after it was told to.
    pub fn note_end(&self, how: Result<(), RunError>) {
        self.0.borrow_mut().ended = Some(how);
    }

    /// Begins anew, for a process that is about to start: it may be told to end before it does anything.
    pub(super) fn renew(&self) {
        *self.0.borrow_mut() = State::default();
    }

    /// Tells the process to end.
    pub(super) fn stop(&self) {
        self.0.borrow().shutdown.cancel();
    }

    /// How the process has ended, once.
    pub(super) fn take_end(&self) -> Option<Result<(), RunError>> {
        self.0.borrow_mut().ended.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_to_end_even_before_it_listens_and_the_next_one_is_not() {
        let given = Orders::default();
        let taken = given.clone();
        given.renew();
        given.stop();
        assert!(taken.shutdown().is_cancelled());
        given.renew();
        assert!(!taken.shutdown().is_cancelled());
    }
}
