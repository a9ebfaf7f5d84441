use resilience::RetryBudgetConfig;
use service_client::What;

use super::{Request, Requests, micros};
use crate::history::{Edge, Micros};

/// How often a request is sent at most, on the average of a run, in hundredths: what is tried again is a tenth, and so is
/// what a callee gets more than it was asked for.
pub const MOST_ATTEMPTS: usize = 110;

/// Where more was tried again than the budget allows: within each of its windows, and over all.
pub(super) fn overdrawn(requests: &Requests<'_>) -> Vec<String> {
    let mut found: Vec<_> =
        requests.0.iter().filter_map(|(edge, of_edge)| in_a_window(edge, of_edge)).collect();
    found.extend(over_all(requests));
    found
}

/// Whenever something is paid for, it holds of the window that ends then.
fn in_a_window(edge: &Edge, requests: &[Request<'_>]) -> Option<String> {
    let RetryBudgetConfig { share, reserve, window } = RetryBudgetConfig::default();
    let begun: Vec<_> = requests.iter().map(|request| request.began).collect();
    let events = requests.iter().flat_map(|request| &request.events);
    let mut paid: Vec<_> = events.filter(|(.., what)| **what == What::Paid).map(|(_, at, _)| *at).collect();
    paid.sort_unstable();
    paid.iter().find_map(|&until| {
        let lately = |moments: &[Micros]| {
            let since = until.saturating_sub(micros(window));
            moments.partition_point(|at| *at <= until) - moments.partition_point(|at| *at < since)
        };
        let (first, more) = (lately(&begun) as u64, lately(&paid) as u64);
        let is_overdrawn = more > share.of(first) + u64::from(reserve);
        let told = || format!("{edge} at {until}, {more} times beside {first} requests");
        is_overdrawn.then(|| format!("more is tried again than the budget allows: {}", told()))
    })
}

fn over_all(requests: &Requests<'_>) -> Option<String> {
    let sent = requests.all().filter(|request| request.was_sent()).count();
    let attempts: usize = requests.all().map(Request::attempts).sum();
    (attempts * 100 > sent * MOST_ATTEMPTS)
        .then(|| format!("too much is tried again: {attempts} attempts at {sent} requests"))
}
