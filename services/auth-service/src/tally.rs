//! What is counted of logins and refreshes.

use telemetry::Metrics;
use telemetry::metrics::{Counter, Family, Labels};
use types::{Classify as _, ErrorClass};

use crate::desk::DeskError;

/// Counts by outcome. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    logins: Family<Labels<1>, Counter>,
    refreshes: Family<Labels<1>, Counter>,
    reused: Counter,
}

impl Tally {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counters = |name, help| metrics.register(name, help, Family::default());
        Self {
            logins: counters("flotilla_logins", "Logins by outcome"),
            refreshes: counters("flotilla_refreshes", "Refreshes of access tokens by outcome"),
            reused: metrics.register(
                "flotilla_refresh_tokens_reused",
                "Sessions that were ended because two have used a refresh token",
                Counter::default(),
            ),
        }
    }

    pub(crate) fn logged_in<T>(&self, outcome: &Result<T, DeskError>) {
        self.logins.get_or_create(&label(outcome)).inc();
    }

    pub(crate) fn refreshed<T>(&self, outcome: &Result<T, DeskError>) {
        self.refreshes.get_or_create(&label(outcome)).inc();
    }

    pub(crate) fn reused(&self) {
        self.reused.inc();
    }
}

fn label<T>(outcome: &Result<T, DeskError>) -> Labels<1> {
    let outcome = match outcome.as_ref().map_err(|error| error.class()) {
        Ok(_) => "granted",
        Err(ErrorClass::Unauthenticated) => "refused",
        Err(ErrorClass::TooMany) => "limited",
        Err(_) => "failed",
    };
    [("outcome", outcome)]
}

#[cfg(test)]
mod tests {
    use types::ServiceName;

    use super::*;

    #[test]
    fn each_outcome_is_counted_by_what_it_means() {
        let metrics = Metrics::new(&ServiceName::new("auth-service"), "test");
        let tally = Tally::new(&metrics);
        tally.logged_in(&Ok(()));
        for error in [DeskError::WrongCredentials, DeskError::WrongCredentials, DeskError::Crowded] {
            tally.logged_in::<()>(&Err(error));
        }
        tally.refreshed::<()>(&Err(DeskError::BadToken));
        tally.reused();
        let text = metrics.render();
        for line in [
            r#"flotilla_logins_total{service="auth-service",outcome="granted"} 1"#,
            r#"flotilla_logins_total{service="auth-service",outcome="refused"} 2"#,
            r#"flotilla_logins_total{service="auth-service",outcome="failed"} 1"#,
            r#"flotilla_refreshes_total{service="auth-service",outcome="refused"} 1"#,
            r#"flotilla_refresh_tokens_reused_total{service="auth-service"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
