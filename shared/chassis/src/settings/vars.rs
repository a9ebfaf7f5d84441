use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// The environment that a service is configured from, as a value: tests and `flotilla up` make their own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Vars(BTreeMap<String, OsString>);

impl Vars {
    /// The environment of this process. This is the one place in the platform that reads it.
    pub fn from_process() -> Self {
        let named = |(name, value): (OsString, OsString)| name.into_string().ok().map(|name| (name, value));
        // A name that is no text cannot be one of ours.
        #[expect(clippy::disallowed_methods, reason = "this is where they are injected from")]
        let vars = std::env::vars_os();
        Self(vars.filter_map(named).collect())
    }

    /// The same without those that `is_other` says are none of ours.
    pub(super) fn without(mut self, is_other: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| !is_other(name));
        self
    }

    /// The value of `name`. An empty one counts as not given, since `NAME=` is how shells and compose files
    /// pass on what is not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.0.get(name).map(OsString::as_os_str)?;
        (!value.is_empty() && !is_service_link(name, value)).then_some(value)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let ours = self.0.iter().filter(|(name, value)| !is_service_link(name, value));
        ours.map(|(name, _)| name.as_str())
    }
}

/// Kubernetes tells every container of a namespace the address of each Service in it. Of one that is called `db`
/// it says `DB_PORT=tcp://10.0.0.1:5432`, which is nobody's setting.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    let is_address = |scheme: &str| value.as_encoded_bytes().starts_with(scheme.as_bytes());
    name.ends_with("_PORT") && schemes.into_iter().any(is_address)
}

impl<const N: usize> From<[(&str, &str); N]> for Vars {
    fn from(vars: [(&str, &str); N]) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// The names alone: among the values are secrets, some of them not ours.
impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
