use proto::Repeatable;
use service_client::{Outcome, What};

use super::{Request, Requests};

/// Requests that were sent again although they may have been done already, and must not be done twice.
pub(super) fn repeated(requests: &Requests<'_>) -> Vec<String> {
    let repeated =
        requests.all().filter(|request| request.repeatable == Repeatable::No && was_sent_in_doubt(request));
    repeated.map(|request| format!("what may have happened is sent again: {request}")).collect()
}

fn was_sent_in_doubt(request: &Request<'_>) -> bool {
    let mut is_in_doubt = false;
    for (.., what) in &request.events {
        match what {
            What::Sent { .. } if is_in_doubt => return true,
            What::Sent { .. } => is_in_doubt = true,
            What::Came(Outcome::Undone) => is_in_doubt = false,
            _ => {}
        }
    }
    false
}
