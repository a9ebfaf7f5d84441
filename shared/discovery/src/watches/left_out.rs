use std::collections::BTreeSet;

use types::ServiceName;

use crate::Endpoint;

/// An instance that nobody can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What it is known by.
    pub(crate) id: String,
    pub(crate) why: String,
}

/// Who was left out of the last set as nobody can call him, each of whom has been warned of.
#[derive(Default)]
pub(super) struct LeftOut(BTreeSet<String>);

impl LeftOut {
    /// Those of `told` whom somebody can call.
    pub(super) fn of(
        &mut self,
        service: &ServiceName,
        told: impl IntoIterator<Item = Result<Endpoint, Wrong>>,
    ) -> BTreeSet<Endpoint> {
        let (mut found, mut wrong) = (BTreeSet::new(), BTreeSet::new());
        for told in told {
            match told {
                Ok(endpoint) => {
                    found.insert(endpoint);
                }
                Err(Wrong { id, why }) => {
                    if !self.0.contains(&id) {
                        tracing::warn!(%service, instance = id, why, "an instance is left out");
                    }
                    wrong.insert(id);
                }
            }
        }
        self.0 = wrong;
        found
    }
}
