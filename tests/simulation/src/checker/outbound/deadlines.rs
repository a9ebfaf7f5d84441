use service_client::What;

use super::{Request, Requests, micros};
use crate::history::Micros;

/// Moments are rounded down, and so is what is left.
const ROUNDED: Micros = 1;

/// Attempts that began when nobody waited for them any more, or whose callee was told that there is more time.
pub(super) fn missed(requests: &Requests<'_>) -> Vec<String> {
    requests.all().filter_map(|request| Some(format!("{}: {request}", check(request).err()?))).collect()
}

fn check(request: &Request<'_>) -> Result<(), &'static str> {
    for (_, at, what) in &request.events {
        let What::Sent { left, .. } = what else { continue };
        if *at >= request.deadline + ROUNDED {
            return Err("an attempt begins after its request's deadline");
        }
        if at.saturating_add(micros(*left)) > request.deadline + ROUNDED {
            return Err("a callee is told of more time than is left");
        }
    }
    Ok(())
}
