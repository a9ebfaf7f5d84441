//! Configuration: parsed once, whole, from the environment, a file and flags, so that everything that is
//! wrong is told together with what would be right.
//!
//! A getter never fails. It gives back a usable value, notes what is wrong, and [`Settings::finish`] tells it
//! all. The environment wins over the file, flags over both.

mod check;
mod composition;
mod database;
mod database_url;
mod discovery;
mod outbound;
mod error;
mod file;
mod flags;
mod getters;
mod help;
mod nearness;
mod notation;
mod secrets;
mod vars;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use types::ServiceName;

use self::check::Names;
pub use composition::finish_all;
pub use database::database_config;
pub use discovery::{DiscoveryConfig, discovery_config, optional_discovery};
pub use error::{Place, SettingError, SettingErrors};
pub use file::ConfigFile;
pub use flags::Flags;
pub use notation::{read_duration, read_size, show_duration, show_size};
pub use outbound::outbound_config;
pub use vars::Vars;

/// A configuration that is read from settings.
pub trait Configure: Sized {
    /// Reads every setting it has. What is wrong is noted in `settings`; the result is used only when nothing is.
    fn configure(settings: &mut Settings) -> Self;
}

/// Where settings are found.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The environment.
    pub vars: Vars,
    /// The configuration file.
    pub file: ConfigFile,
    /// The command line.
    pub flags: Flags,
}

/// The settings of one service.
#[derive(Debug)]
pub struct Settings {
    service: ServiceName,
    sources: Sources,
    asked: BTreeMap<&'static str, Asked>,
    brought: BTreeSet<String>,
    errors: Vec<SettingError>,
}

/// What a service has asked for, for `--help` and to know which names are ours.
#[derive(Debug)]
struct Asked {
    right: String,
    default: Option<String>,
    secret: bool,
}

/// A value that was found.
struct Given {
    /// The name in the manner of its place: `HTTP_PORT`, `http_port`, `--http-port`.
    name: String,
    value: String,
    place: Place,
}

/// The places, the one that wins first.
#[derive(Clone, Copy)]
enum Layer {
    Flags,
    Environment,
    Section,
    TopLevel,
}

impl Layer {
    const ALL: [Self; 4] = [Self::Flags, Self::Environment, Self::Section, Self::TopLevel];
}

impl Settings {
    /// The settings of `service`, whose section in the file applies.
    pub fn new(service: ServiceName, sources: Sources) -> Self {
        Self { service, sources, asked: BTreeMap::new(), brought: BTreeSet::new(), errors: Vec::new() }
    }

    /// The service whose settings these are.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Whether `name` is given anywhere.
    pub fn is_given(&self, name: &str) -> bool {
        Layer::ALL.into_iter().any(|layer| self.sources.contains(layer, &self.service, name))
    }

    /// Notes that `name` is wrong for a reason that goes beyond its own text, such as another setting.
    pub fn reject(&mut self, name: &'static str, right: impl Into<String>) {
        let (is_secret, right) = (self.asked.get(name).is_some_and(|asked| asked.secret), right.into());
        let error = match self.find(name) {
            Some(Given { name, place, .. }) if is_secret => {
                SettingError::Wrong { name, place, given: None, right }
            }
            Some(given) => SettingError::wrong(given.name, given.place, &given.value, right),
            None => SettingError::Missing { name: name.to_owned(), right },
        };
        self.errors.push(error);
    }

    /// Notes that `part` of `name`, which is given, is wrong.
    pub fn reject_part(&mut self, name: &'static str, part: &str, right: &str) {
        if let Some(given) = self.find(name) {
            self.errors.push(SettingError::wrong(given.name, given.place, part, right));
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn finish(self) -> Result<(), SettingErrors> {
        let names = Names::of_one(&self);
        check::finish(vec![self], &names)
    }

    fn find(&mut self, name: &str) -> Option<Given> {
        Layer::ALL.into_iter().find_map(|layer| self.look_in(layer, name))
    }

    fn look_in(&mut self, layer: Layer, name: &str) -> Option<Given> {
        match self.sources.look_up(layer, &self.service, name)? {
            Ok(given) => Some(given),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }
}

impl Sources {
    /// Those of this process: its environment, `flags`, and the file that `--config` names or else
    /// [`ConfigFile::NAME`] in the working directory.
    pub fn of_process(mut flags: Flags) -> Self {
        let file = flags.take("CONFIG").map(|path| ConfigFile::read(Path::new(&path)));
        Self { vars: Vars::from_process(), file: file.unwrap_or_else(ConfigFile::read_default), flags }
    }

    fn contains(&self, layer: Layer, service: &ServiceName, name: &str) -> bool {
        self.look_up(layer, service, name).is_some()
    }

    fn look_up(
        &self,
        layer: Layer,
        service: &ServiceName,
        name: &str,
    ) -> Option<Result<Given, SettingError>> {
        match layer {
            Layer::Flags => {
                let value = self.flags.get(name)?.to_owned();
                Some(Ok(Given { name: Flags::spell(name), value, place: Place::Flag }))
            }
            Layer::Environment => {
                let (name, place) = (name.to_owned(), Place::Environment);
                Some(match self.vars.get(&name)?.to_str().map(str::to_owned) {
                    Some(value) => Ok(Given { name, value, place }),
                    None => Err(SettingError::Wrong {
                        name,
                        place,
                        given: None,
                        right: "text in UTF-8".to_owned(),
                    }),
                })
            }
            Layer::Section => self.look_in_file(Some(service.as_str()), name),
            Layer::TopLevel => self.look_in_file(None, name),
        }
    }

    fn look_in_file(&self, section: Option<&str>, name: &str) -> Option<Result<Given, SettingError>> {
        let entry = self.file.get(section, name)?;
        Some(Ok(Given { name: entry.key.clone(), value: entry.value.clone(), place: entry.place.clone() }))
    }
}
