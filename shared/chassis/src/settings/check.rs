//! What is wrong beyond single values: names that nobody asked for.

use std::collections::BTreeSet;

use types::ServiceName;

use super::composition::Shared;
use super::file::Entry;
use super::nearness::meant;
use super::secrets::file_of;
use super::{Configure as _, Flags, Place, SettingError, SettingErrors, Settings, Sources, database_config};
use crate::process::ProcessConfig;

/// Ends the reading of `all`, whose names are `names`.
pub(super) fn finish(all: Vec<Settings>, names: &Names) -> Result<(), SettingErrors> {
    let mut errors: Vec<SettingError> = Vec::new();
    for settings in all {
        let sources = settings.sources;
        let found = settings.errors.into_iter().chain(names.check(&sources));
        for error in sources.flags.errors.into_iter().chain(sources.file.errors).chain(found) {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(SettingErrors(errors)) }
}

/// Names of other programs that stand in many environments and look like ours: OpenSSL's own, and the ports
/// that hosting platforms announce.
const FOREIGN: [&str; 4] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PORT", "HTTPD_PORT"];

/// The names that are ours.
pub(super) struct Names {
    settings: BTreeSet<String>,
    services: BTreeSet<String>,
    shared: Option<Shared>,
}

impl Names {
    /// Those of a service that runs alone.
    pub(super) fn of_one(settings: &Settings) -> Self {
        let services = BTreeSet::from([settings.service.to_string()]);
        Self { settings: settings.names().chain(known_to_all().names()).collect(), services, shared: None }
    }

    /// Those of services that share a process.
    pub(super) fn of_all(all: &[Settings], shared: Shared) -> Self {
        let services = all.iter().map(|settings| settings.service.to_string());
        let settings = all.iter().flat_map(Settings::names).collect();
        Self { settings, services: services.collect(), shared: Some(shared) }
    }

    fn check(&self, sources: &Sources) -> Vec<SettingError> {
        let mut errors = self.sections(sources);
        errors.extend(self.flags(sources).chain(self.variables(sources)).chain(self.keys(sources)));
        errors
    }

    /// The environment is not ours alone, so only what looks like a slip of the finger is wrong there.
    fn variables<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = SettingError> + 'a {
        let others =
            sources.vars.names().filter(|name| !self.settings.contains(*name) && !FOREIGN.contains(name));
        others.filter_map(|name| {
            let read_there = |like: &&str| self.shared.is_none() || Shared::reads_from_environment(like);
            let like = self.meant(name).filter(read_there)?.to_owned();
            Some(SettingError::Unknown { name: name.to_owned(), place: Place::Environment, like: Some(like) })
        })
    }

    fn flags<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = SettingError> + 'a {
        sources.flags.names().filter(|name| !self.settings.contains(*name)).map(|name| {
            SettingError::Unknown {
                name: Flags::spell(name),
                place: Place::Flag,
                like: self.meant(name).map(Flags::spell),
            }
        })
    }

    /// Keys of other services' sections are theirs to judge.
    fn keys<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = SettingError> + 'a {
        let ours =
            |section: &Option<String>| section.as_ref().is_none_or(|name| self.services.contains(name));
        let known: BTreeSet<String> = self.settings.iter().map(|name| name.to_ascii_lowercase()).collect();
        let keys = sources.file.entries().filter(move |entry| ours(&entry.section));
        keys.filter_map(move |entry| {
            let misplaced = self.shared.as_ref().and_then(|shared| shared.misplaced(entry));
            misplaced.or_else(|| (!known.contains(&entry.key)).then(|| self.unknown(entry)))
        })
    }

    fn unknown(&self, entry: &Entry) -> SettingError {
        let like = self.meant(&entry.key).map(str::to_ascii_lowercase);
        SettingError::Unknown { name: entry.key.clone(), place: entry.place.clone(), like }
    }

    /// A service that runs alone cannot know the others' names; one that looks like its own is a slip.
    fn sections(&self, sources: &Sources) -> Vec<SettingError> {
        let unknown = sources.file.sections.iter().filter(|(name, _)| !self.services.contains(name));
        let wrong = unknown.filter_map(|(name, place)| {
            let like = meant(name, self.services.iter().map(String::as_str)).map(|name| format!("[{name}]"));
            (like.is_some() || self.services.len() > 1).then(|| SettingError::Unknown {
                name: format!("[{name}]"),
                place: place.clone(),
                like,
            })
        });
        wrong.collect()
    }

    fn meant(&self, name: &str) -> Option<&str> {
        meant(name, self.settings.iter().map(String::as_str))
    }
}

impl Settings {
    /// Every name that has been asked for.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.asked.iter().flat_map(|(name, asked)| {
            let file = asked.secret.then(|| file_of(name));
            std::iter::once((*name).to_owned()).chain(file)
        })
    }
}

/// Settings that every service of the platform may be given, whether it reads them or not.
fn known_to_all() -> Settings {
    let mut settings = Settings::new(ServiceName::new("any"), Sources::default());
    ProcessConfig::configure(&mut settings);
    database_config(&mut settings);
    settings
}
