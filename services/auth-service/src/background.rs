//! What runs beside the listeners.

use chassis::{Background, Check, Finding, Platform};
use runtime::Deadline;

use crate::Config;
use crate::changes::Follower;
use crate::desk::Desk;
use crate::housekeeping::Housekeeping;

pub(crate) fn of(config: &Config, platform: &Platform, desk: &Desk) -> Vec<Background> {
    let (keys, feed) = (desk.keys.clone(), desk.feed.clone());
    let (check, follower) = (platform.health.check("signing-keys"), Follower::new(desk, &platform.metrics));
    // They have just been read.
    check.report(Finding::Ok);
    let housekeeping = Housekeeping::new(config, desk);
    let refresh = move || {
        let keys = keys.clone();
        async move { keys.refresh(Deadline::within(Check::PATIENCE)).await }
    };
    vec![
        Background::new("signing-keys", move |stop| check.keep_asking(refresh, stop)),
        Background::new("revocations", move |stop| feed.keep_reading(stop)),
        Background::new("account-changes", move |stop| follower.keep_following(stop)),
        Background::new("housekeeping", move |stop| housekeeping.keep(stop)),
    ]
}
