use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::MatchedPath;
use http::{Request, StatusCode};
use tower::util::MapRequestLayer;
use types::ErrorClass;

use crate::Problem;

/// Which route a request matched, told from the inside to the outside, where the answer is measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Route(Arc<OnceLock<Pattern>>);

#[derive(Debug)]
enum Pattern {
    Matched(MatchedPath),
    Named(Arc<str>),
}

impl Route {
    pub(super) fn pattern(&self) -> Option<&str> {
        self.0.get().map(|pattern| match pattern {
            Pattern::Matched(path) => path.as_str(),
            Pattern::Named(name) => name,
        })
    }

    /// Tells the name of a route that no router knows.
    pub(super) fn named(&self, name: &Arc<str>) {
        self.0.get_or_init(|| Pattern::Named(Arc::clone(name)));
    }
}

/// `router` with problems where it would answer with empty bodies, with what is `before` each handler, and with every
/// route telling itself first.
pub(super) fn completed(router: Router, before: impl FnOnce(Router) -> Router) -> Router {
    let method = "this resource does not have this method; the header allow names those it has";
    let router = router
        .fallback(async || Problem::new(ErrorClass::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async move || {
            Problem::new(ErrorClass::Invalid, method).with_status(StatusCode::METHOD_NOT_ALLOWED)
        });
    before(router).layer(MapRequestLayer::new(told))
}

fn told<B>(request: Request<B>) -> Request<B> {
    let extensions = request.extensions();
    if let (Some(Route(route)), Some(path)) = (extensions.get::<Route>(), extensions.get::<MatchedPath>()) {
        route.get_or_init(|| Pattern::Matched(path.clone()));
    }
    request
}
