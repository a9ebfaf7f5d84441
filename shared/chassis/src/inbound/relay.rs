//! How much is passed on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::request::Parts;
use http::{Method, Uri};
use resilience::{Admitted, LoadLimit, Priority, Shed, Throttle};
use service_client::Calls;
use telemetry::Red;

use super::{Bounds, RawHandler};

/// What a raw handler passes on: under one cap, and of what is refused further on no more than is answered. It does not
/// know what is dear, and so has no limits besides.
#[derive(Debug)]
pub(super) struct Relay {
    cap: LoadLimit,
    red: Red,
    crowds: Crowds,
}

impl Relay {
    pub(super) fn new(bounds: &Bounds, red: Red) -> Self {
        Self { cap: bounds.cap(), red, crowds: Crowds::default() }
    }

    /// Lets in the request of `head`, of which `handler` knows whose it is.
    pub(super) fn enter(&self, head: &Parts, handler: &RawHandler) -> Result<Admitted, Shed> {
        self.cap.try_enter(Priority::Users).or_else(|shed| {
            let priority = handler.priority(head);
            let admitted = match priority {
                Priority::Operators => self.cap.try_enter(priority),
                Priority::Users | Priority::Background => Err(shed),
            };
            self.counted(priority, admitted)
        })
    }

    /// Lets the request of `head` go on to a service, unless that would refuse it.
    pub(super) fn pass_on(&self, head: &Parts) -> Result<(), Shed> {
        self.counted(Priority::Users, self.crowds.try_enter(&head.method, &head.uri))
    }

    /// Such a request has been answered, after `calls` to others.
    pub(super) fn answered(&self, method: &Method, uri: &Uri, calls: Calls) {
        if calls.failed && calls.overloaded {
            self.crowds.refused(method, uri);
        } else if calls.made {
            self.crowds.answered(method, uri);
        }
    }

    fn counted<T>(&self, priority: Priority, entered: Result<T, Shed>) -> Result<T, Shed> {
        entered.inspect_err(|_shed| self.red.shed(priority.as_str()))
    }
}

/// What is refused further on, by method and path, as long as it is.
#[derive(Debug, Default)]
struct Crowds {
    /// Otherwise nobody need look.
    is_any: AtomicBool,
    throttles: RwLock<BTreeMap<String, Arc<Throttle>>>,
}

impl Crowds {
    /// A platform has fewer operations without names of things in their paths. Of what is about a thing of its own each
    /// time nobody asks again, so that it would stay: when there are so many, all begin anew.
    const MOST: usize = 256;

    fn try_enter(&self, method: &Method, uri: &Uri) -> Result<(), Shed> {
        self.find(method, uri).map_or(Ok(()), |throttle| throttle.try_enter())
    }

    fn answered(&self, method: &Method, uri: &Uri) {
        let Some(throttle) = self.find(method, uri) else { return };
        throttle.answered();
        if !throttle.is_active() {
            let mut throttles = self.throttles.write().unwrap_or_else(PoisonError::into_inner);
            throttles.retain(|_, throttle| throttle.is_active());
            self.is_any.store(!throttles.is_empty(), Ordering::Relaxed);
        }
    }

    fn refused(&self, method: &Method, uri: &Uri) {
        let mut throttles = self.throttles.write().unwrap_or_else(PoisonError::into_inner);
        let operation = operation(method, uri);
        if throttles.len() == Self::MOST && !throttles.contains_key(&operation) {
            throttles.clear();
        }
        throttles.entry(operation).or_default().refused();
        self.is_any.store(true, Ordering::Relaxed);
    }

    fn find(&self, method: &Method, uri: &Uri) -> Option<Arc<Throttle>> {
        if !self.is_any.load(Ordering::Relaxed) {
            return None;
        }
        let throttles = self.throttles.read().unwrap_or_else(PoisonError::into_inner);
        throttles.get(&operation(method, uri)).cloned()
    }
}

fn operation(method: &Method, uri: &Uri) -> String {
    format!("{method} {}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_again_leaves_room_for_others() {
        let crowds = Crowds::default();
        let refuse = |path: &str| crowds.refused(&Method::POST, &path.parse().unwrap());
        for nth in 0..Crowds::MOST {
            refuse(&format!("/orders/{nth}"));
        }
        refuse("/auth/login");
        assert!(crowds.find(&Method::POST, &Uri::from_static("/auth/login")).is_some());
        assert!(crowds.throttles.read().unwrap().len() <= Crowds::MOST);
    }
}
