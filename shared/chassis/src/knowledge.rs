//! How far what discovery knows may be relied on, as readiness and metrics tell it.

use std::sync::Arc;

use discovery::{Discover, Standing};
use telemetry::Metrics;

use crate::{Background, Finding, Platform};

/// The gauge of it, where that can be in doubt.
pub(crate) fn measure(discovery: &Arc<dyn Discover>, metrics: &Metrics) {
    if discovery.standing().is_none() {
        return;
    }
    let discovery = Arc::clone(discovery);
    let help = "The time since discovery last answered about what it was asked for longest ago; -1 before the first answer";
    metrics.gauge("flotilla_discovery_age_seconds", help, move || {
        let age = discovery.standing().and_then(|standing| standing.age());
        age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
    });
}

/// The check of it, where that can be in doubt.
pub(crate) fn check(platform: &Platform) -> Option<Background> {
    platform.discovery.standing()?;
    let (check, discovery) = (platform.health.check("discovery"), Arc::clone(&platform.discovery));
    Some(Background::new("discovery-check", move |stop| {
        let find = move || std::future::ready(finding(discovery.standing()));
        check.follow(find, stop)
    }))
}

/// A service that has never been told where another is cannot work; one that was told goes on with that.
fn finding(standing: Option<Standing>) -> Finding {
    match standing {
        None | Some(Standing::Current { .. }) => Finding::Ok,
        Some(Standing::Stale { why, .. }) => Finding::Stale { reason: why },
        Some(Standing::Unknown { why }) => Finding::Failing { reason: why },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Health;

    #[test]
    fn a_service_that_was_told_once_is_ready_and_says_that_it_was_long_ago() {
        let health = Health::new();
        let check = health.check("discovery");
        health.serving();
        let (age, why) = (Duration::from_secs(90), || "refused".to_owned());
        let told = [
            Standing::Unknown { why: why() },
            Standing::Current { age },
            Standing::Stale { age, why: why() },
        ];
        let told = told.map(|standing| {
            check.report(finding(Some(standing)));
            format!("{} {}", health.is_ready(), serde_json::to_string(&health.report().checks).unwrap())
        });
        insta::assert_snapshot!(told.join("\n"), @r#"
        false {"discovery":{"status":"failing","reason":"refused"}}
        true {"discovery":{"status":"ok"}}
        true {"discovery":{"status":"stale","reason":"refused"}}
        "#);
    }
}
