//! How much is worked on at once: a limit for each sort of operation, under one cap.

use std::collections::BTreeMap;
use std::error::Error;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method};
use resilience::{Admitted, LoadLimit, LoadLimitConfig, Outcome, Priority, Shed, Throttle};
use runtime::Deadline;
use service_client::Calls;
use telemetry::Red;
use tonic::{Code, Status};
use types::ErrorClass;

use super::Bounds;
use crate::Problem;
use crate::edge::Operation;
use crate::problem::is_overload;

/// What is worked on by one listener.
#[derive(Debug)]
pub(super) struct Load {
    red: Red,
    /// Those of an edge API that are for operators.
    operators: Vec<Operation>,
    /// What is beyond [`Load::MOST`].
    others: Arc<Sort>,
    known: RwLock<Known>,
}

/// Requests that do the same.
#[derive(Debug)]
struct Sort {
    priority: Priority,
    limit: LoadLimit,
    throttle: Throttle,
}

/// By path, or its pattern, and method.
#[derive(Debug, Default)]
struct Known {
    count: usize,
    by_path: BTreeMap<Box<str>, Vec<(Method, Arc<Sort>)>>,
}

/// A wait that nobody notices. Cheap answers take so long when many callers keep the processors busy, and are served well
/// all the same.
const UNNOTICED: Duration = Duration::from_millis(25);

impl Bounds {
    /// Of what is worked on here.
    fn by_load(&self) -> LoadLimitConfig {
        let default = LoadLimitConfig::default();
        LoadLimitConfig { most: self.in_flight, slack: UNNOTICED, ..default }
    }

    /// The cap of a handler that has no limit besides.
    pub(super) fn cap(&self) -> LoadLimit {
        let most = self.in_flight;
        LoadLimit::new(LoadLimitConfig { first: most, least: most, ..self.by_load() })
    }
}

impl Load {
    /// More than any service has operations. Methods are whatever a caller writes.
    const MOST: usize = 1_000;

    pub(super) fn new(bounds: &Bounds, red: Red, operators: Vec<Operation>) -> Self {
        let others = Arc::new(Sort::new(Priority::Users, LoadLimit::new(bounds.by_load())));
        Self { red, operators, others, known: RwLock::default() }
    }

    /// `router`, with the limit before each of its handlers: it alone knows the patterns that paths match.
    pub(super) fn around(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), limited))
    }

    /// Lets in the `request` that is worked on as `work`. All that have this `path` and its method are of one sort.
    pub(super) fn begin(&self, path: &str, request: &Request, work: &Work) -> Result<(), Shed> {
        work.begin(Entry { sort: self.sort(path, request.method()), red: self.red.clone() })
    }

    fn sort(&self, path: &str, method: &Method) -> Arc<Sort> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).find(path, method);
        known.unwrap_or_else(|| self.new_sort(path, method))
    }

    fn new_sort(&self, path: &str, method: &Method) -> Arc<Sort> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(sort) = known.find(path, method) {
            return sort;
        }
        if known.count == Self::MOST {
            return Arc::clone(&self.others);
        }
        let sort = Arc::new(Sort::new(self.priority(path, method), self.others.limit.beside()));
        known.count += 1;
        known.by_path.entry(path.into()).or_default().push((method.clone(), Arc::clone(&sort)));
        sort
    }

    /// Only gRPC has such paths; no route of an edge API begins like them.
    fn priority(&self, path: &str, method: &Method) -> Priority {
        let mut operators = self.operators.iter();
        if path.starts_with("/flotilla.operations.v1.")
            || path.starts_with("/grpc.health.v1.")
            || operators.any(|operation| operation.path == path && operation.method == method)
        {
            Priority::Operators
        } else if path.starts_with("/grpc.reflection.") {
            Priority::Background
        } else {
            Priority::Users
        }
    }
}

impl Sort {
    fn new(priority: Priority, limit: LoadLimit) -> Self {
        Self { priority, limit, throttle: Throttle::default() }
    }
}

impl Known {
    fn find(&self, path: &str, method: &Method) -> Option<Arc<Sort>> {
        let methods = self.by_path.get(path)?;
        methods.iter().find(|(known, _)| known == method).map(|(_, sort)| Arc::clone(sort))
    }
}

async fn limited(State(load): State<Arc<Load>>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    // What matches no route costs nothing.
    if let (Some(path), Some(work)) = (extensions.get::<MatchedPath>(), extensions.get::<Work>())
        && let Err(shed) = load.begin(path.as_str(), &request, work)
    {
        return problem(shed).into_response();
    }
    next.run(request).await
}

pub(super) fn problem(shed: Shed) -> Problem {
    Problem::from(shed).with_retry_after(shed.retry_after.seconds())
}

/// A request that is worked on, or will be when more of its body has come: meanwhile it takes no place, so that clients
/// who send slowly keep nobody out. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Work(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
struct Stage {
    /// Nothing where there is no limit, and once the answer has begun.
    entry: Option<Entry>,
    admitted: Option<Admitted>,
}

/// How it gets in.
#[derive(Debug)]
struct Entry {
    sort: Arc<Sort>,
    red: Red,
}

impl Entry {
    fn throttle(&self) -> Result<(), Shed> {
        let Sort { priority, throttle, .. } = &*self.sort;
        if *priority == Priority::Operators { Ok(()) } else { self.counted(throttle.try_enter()) }
    }

    fn enter(&self) -> Result<Admitted, Shed> {
        self.counted(self.sort.limit.try_enter(self.sort.priority))
    }

    fn counted<T>(&self, entered: Result<T, Shed>) -> Result<T, Shed> {
        entered.inspect_err(|_shed| self.red.shed(self.sort.priority.as_str()))
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Whoever asked has gone.
    Left,
    /// It was worked on all the time, in vain or not.
    Worked,
    /// It was refused, which is so much faster than an answer that it would look like a day without load.
    Refused,
    /// It was refused further on, because there was no room for it.
    WithoutRoom,
}

impl Work {
    fn begin(&self, entry: Entry) -> Result<(), Shed> {
        entry.throttle()?;
        let admitted = entry.enter()?;
        *self.stage() = Stage { entry: Some(entry), admitted: Some(admitted) };
        Ok(())
    }

    /// Its client is waited for.
    pub(super) fn pause(&self) {
        self.stage().admitted = None;
    }

    /// Its client has sent something.
    pub(super) fn resume(&self) -> Result<(), Shed> {
        let mut stage = self.stage();
        if let (Some(entry), None) = (&stage.entry, &stage.admitted) {
            stage.admitted = Some(entry.enter()?);
        }
        Ok(())
    }

    fn end(&self, came: Came) {
        let Stage { entry, admitted } = mem::take(&mut *self.stage());
        if let Some(admitted) = admitted {
            admitted.finish(if came == Came::Worked { Outcome::Worked } else { Outcome::Nothing });
        }
        if let Some(Entry { sort, .. }) = entry {
            match came {
                Came::WithoutRoom => sort.throttle.refused(),
                Came::Worked | Came::Refused => sort.throttle.answered(),
                Came::Left => {}
            }
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request before its answer has begun.
pub(super) struct UnderWay {
    pub(super) work: Work,
    pub(super) deadline: Deadline,
}

impl UnderWay {
    /// The answer has begun, after `calls` to others; what came of it.
    pub(super) fn answered(self, response: &Response, calls: Calls) -> Came {
        let came = came(response, calls);
        self.work.end(came);
        came
    }
}

impl Drop for UnderWay {
    /// Without an answer its caller has gone, or its time has passed, which it spent here.
    fn drop(&mut self) {
        self.work.end(if self.deadline.has_passed() { Came::Worked } else { Came::Left });
    }
}

fn came(response: &Response, calls: Calls) -> Came {
    let class = match response.extensions().get::<Problem>() {
        Some(problem) => Some(problem.class()),
        None => failed(response.headers()).map(|status| proto::status::class(&status)),
    };
    match class {
        None if response.status().is_success() || response.status().is_redirection() => Came::Worked,
        Some(ErrorClass::Unknown | ErrorClass::Internal) => Came::Worked,
        Some(ErrorClass::Unavailable) if calls.overloaded || is_of_overload(response) => Came::WithoutRoom,
        _ => Came::Refused,
    }
}

fn is_of_overload(response: &Response) -> bool {
    let extensions = response.extensions();
    let status = extensions.get::<Status>().and_then(Error::source);
    extensions.get().is_some_and(Problem::is_of_overload) || status.is_some_and(is_overload)
}

/// gRPC's status where the answer is nothing but a refusal.
fn failed(headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key("grpc-status") {
        return None;
    }
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}
