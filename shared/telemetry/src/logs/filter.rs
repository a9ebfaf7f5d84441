use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber, callsite};
use tracing_log::AsLog as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;

use super::LogsError;

/// Before whatever is asked for, which overrides it: errors always, and of libraries that talk about every
/// frame and packet only their warnings.
const BASE: &str = "error,h2=warn,hyper=warn,hyper_util=warn,mio=warn,rustls=warn,tokio_postgres=warn,\
                    tokio_util=warn,tonic=warn,tower=warn";

/// After whatever is asked for. A service's span is made once: under a filter that was `off` then, no later line
/// could tell whose it is.
const SPANS: &str = "telemetry::spans=error";

/// What a process logs, which may change while it runs. Clones are the same.
#[derive(Clone, Debug)]
pub struct LogFilter(Arc<RwLock<Current>>);

#[derive(Debug)]
struct Current {
    text: String,
    targets: Targets,
}

impl LogFilter {
    pub(super) fn new(text: &str) -> Result<Self, LogsError> {
        let current = Current { text: text.to_owned(), targets: parse(text)? };
        Ok(Self(Arc::new(RwLock::new(current))))
    }

    /// The filter as it was asked for.
    pub fn text(&self) -> String {
        self.current().text.clone()
    }

    /// Logs by the filter `text` from now on, and tells which one it replaces.
    ///
    /// # Errors
    /// [`LogsError`]: it is no filter, and nothing has changed.
    pub fn set(&self, text: &str) -> Result<String, LogsError> {
        let new = Current { text: text.to_owned(), targets: parse(text)? };
        let old = mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), new);
        // Each place that logs remembers whether it is listened to, and so does the `log` crate.
        callsite::rebuild_interest_cache();
        tracing_log::log::set_max_level(LevelFilter::current().as_log());
        Ok(old.text)
    }

    pub(super) fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        FilterLayer(self.clone())
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not `tracing_subscriber::reload`, which takes its lock whenever a span is entered or left: this one is asked when
/// a place that logs is first passed and after each change.
struct FilterLayer(LogFilter);

impl<S: Subscriber> Layer<S> for FilterLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&self.0.current().targets, metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::<S>::enabled(&self.0.current().targets, metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0.current().targets)
    }
}

/// Reads a filter strictly: a part that is wrong is an error, not a part that is left out.
fn parse(text: &str) -> Result<Targets, LogsError> {
    // A lone word that is no level would be taken for a target, and everything else would fall silent.
    let lone = |part: &&str| !part.is_empty() && !part.contains(['=', ':']);
    let words = text.split(',').map(str::trim).filter(lone);
    if let Some(word) = words.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(LogsError::Word(word.to_owned()));
    }
    let asked = if text.trim().is_empty() { "" } else { &format!("{text},") };
    format!("{BASE},{asked}{SPANS}")
        .parse()
        .map_err(|source| LogsError::Filter { filter: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_rather_than_muting_everything() {
        for text in ["inof", "info,user_service", "debug,h2=loud", "user_service=debug=info"] {
            assert!(matches!(parse(text), Err(LogsError::Word(_) | LogsError::Filter { .. })), "{text}");
        }
        let refused = parse("inof").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`inof` is no log filter: must be off, error, warn, info, debug, trace or TARGET=LEVEL"
        );
    }

    #[test]
    fn libraries_stay_quiet_unless_they_are_named() {
        let level = |text: &str, part: &str| parse(text).unwrap().to_string().contains(part);
        assert!(level("debug", "h2=warn"));
        assert!(level("debug,h2=trace", "h2=trace"));
        assert!(level("user_service=debug", "error"));
    }
}
