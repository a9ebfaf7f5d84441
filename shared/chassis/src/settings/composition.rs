//! The settings of services that share a process, as in `flotilla up`.

use std::collections::{BTreeMap, BTreeSet};

use types::ServiceName;

use super::check::{self, Names};
use super::file::Entry;
use super::secrets::file_of;
use super::{
    Configure as _, SettingError, SettingErrors, Settings, Sources, database_config, discovery_config,
};
use crate::process::IdentityFiles;

impl Sources {
    /// The same for services that share a process. What an environment says about engines, identities and addresses
    /// is meant for a service of its own.
    #[must_use]
    pub fn shared(self) -> Self {
        let engines = engines();
        let is_other = |name: &str| engines.contains(name) || !Shared::reads_from_environment(name);
        Self { vars: self.vars.without(is_other), ..self }
    }
}

impl Settings {
    /// Notes that what shares a process with the service brings its secret `name`, whatever is set.
    pub fn bring(&mut self, name: &str) {
        self.brought.extend([name.to_owned(), file_of(name)]);
    }
}

/// Ends the reading of the settings of all services of a process, and of the process itself, which share their
/// sources: a name that one of them knows is right for all, and a section must be one of theirs.
///
/// # Errors
/// Everything that is wrong, each once.
pub fn finish_all(all: impl IntoIterator<Item = Settings>) -> Result<(), SettingErrors> {
    let all: Vec<Settings> = all.into_iter().collect();
    let names = Names::of_all(&all, Shared::by(&all));
    check::finish(all, &names)
}

/// What has a say where in a process of several services.
pub(super) struct Shared {
    engines: BTreeSet<String>,
    /// The keys that mean something in a section, and those that mean something anywhere.
    sections: BTreeMap<String, BTreeSet<String>>,
    anywhere: BTreeSet<String>,
}

impl Shared {
    const ENGINE: &str =
        "`flotilla up` brings its own engines and identities, this belongs to `flotilla run SERVICE`";
    const SECTION: &str = "has no effect in this section, must be at the top level";

    fn by(all: &[Settings]) -> Self {
        let keys = |settings: &Settings| settings.names().map(|name| name.to_ascii_lowercase()).collect();
        let sections = all.iter().map(|settings| (settings.service.to_string(), keys(settings)));
        let sections: BTreeMap<String, BTreeSet<String>> = sections.collect();
        let engines = engines().into_iter().chain(all.iter().flat_map(|settings| settings.brought.clone()));
        Self {
            engines: engines.collect(),
            anywhere: sections.values().flatten().cloned().collect(),
            sections,
        }
    }

    /// Whether an environment has a say in `name`: it has no sections, and services that share a process cannot
    /// share a port.
    pub(super) fn reads_from_environment(name: &str) -> bool {
        !["BIND_ADDRESS", "ADMIN_BIND_ADDRESS", "HTTP_PORT", "GRPC_PORT", "ADMIN_PORT"].contains(&name)
    }

    /// That the key is one that has no say where it stands.
    pub(super) fn misplaced(&self, entry: &Entry) -> Option<SettingError> {
        let section = entry.section.as_ref().and_then(|section| self.sections.get(section));
        let is_elsewhere = section.is_some_and(|own| !own.contains(&entry.key));
        let why = match entry.key.as_str() {
            key if self.engines.contains(&key.to_ascii_uppercase()) => Self::ENGINE,
            key if is_elsewhere && self.anywhere.contains(key) => Self::SECTION,
            _ => return None,
        };
        Some(SettingError::Misplaced { name: entry.key.clone(), place: entry.place.clone(), why })
    }
}

/// What a service of its own is told about its engines, its identity and the others, and a composition decides itself.
fn engines() -> BTreeSet<String> {
    let mut settings = Settings::new(ServiceName::new("any"), Sources::default());
    database_config(&mut settings);
    IdentityFiles::configure(&mut settings);
    discovery_config(&mut settings);
    settings.names().collect()
}
