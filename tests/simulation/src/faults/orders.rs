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
    /// For a process that starts: what will tell it to end.
    pub fn start(&self) -> CancellationToken {
        *self.0.borrow_mut() = State::default();
        self.0.borrow().shutdown.clone()
    }

    /// Notes how the process has ended after it was told to.
    pub fn note_end(&self, how: Result<(), RunError>) {
        self.0.borrow_mut().ended = Some(how);
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
