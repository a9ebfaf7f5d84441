use std::fmt::Display;

use tokio::time::Instant;

use crate::Standing;

/// What was last heard of something that is asked about for ever.
#[derive(Default)]
pub(crate) struct Contact {
    last: Option<Instant>,
    trouble: Option<String>,
}

impl Contact {
    /// There was an answer. Gives back what had kept it away until now.
    pub(crate) fn answered(&mut self) -> Option<String> {
        self.last = Some(Instant::now());
        self.trouble.take()
    }

    /// There was none. Says whether the one before had come.
    pub(crate) fn failed(&mut self, why: &str) -> bool {
        self.trouble.replace(why.to_owned()).is_none()
    }

    /// How far the last answer may be relied on; `of` is what it is about.
    pub(crate) fn standing(&self, of: impl Display) -> Standing {
        match (self.last, self.trouble.clone()) {
            (Some(last), None) => Standing::Current { age: last.elapsed() },
            (Some(last), Some(why)) => Standing::Stale { age: last.elapsed(), why },
            (None, why) => {
                let why = why.unwrap_or_else(|| "not answered yet".to_owned());
                Standing::Unknown { why: format!("{of}: {why}") }
            }
        }
    }
}
