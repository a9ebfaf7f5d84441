use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::SettingError;

/// Settings given on the command line: `--http-port 3000` is `HTTP_PORT=3000`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Flags {
    values: BTreeMap<String, String>,
    pub(super) errors: Vec<SettingError>,
}

impl Flags {
    /// Reads `--name value` and `--name=value`; what it cannot read is reported with the other errors.
    pub fn parse(arguments: impl IntoIterator<Item: Into<OsString>>) -> Self {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().map(|argument| argument.into().into_string());
        while let Some(argument) = arguments.next() {
            let argument = match argument {
                Ok(argument) => argument,
                Err(raw) => {
                    flags.refuse(raw.to_string_lossy().into_owned(), "text in UTF-8");
                    continue;
                }
            };
            match argument.strip_prefix("--").filter(|flag| !flag.is_empty()) {
                None => flags.refuse(argument, "a flag, such as --http-port 3000"),
                Some(flag) => match flag.split_once('=').map(|(name, value)| (name, value.to_owned())) {
                    Some((name, value)) => flags.give(name, value),
                    None => match arguments.next() {
                        Some(Ok(value)) => flags.give(flag, value),
                        Some(Err(_)) => flags.refuse(argument, "followed by text in UTF-8"),
                        None => flags.refuse(argument, "followed by a value"),
                    },
                },
            }
        }
        flags
    }

    /// Takes a flag out, for those that are not settings of a service.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// How `name` is written as a flag.
    pub(super) fn spell(name: &str) -> String {
        format!("--{}", name.to_ascii_lowercase().replace('_', "-"))
    }

    fn give(&mut self, flag: &str, value: String) {
        // Only the one spelling, or `--HTTP_port` and `--http-port` could both be given.
        if flag.contains(|letter: char| letter == '_' || letter.is_ascii_uppercase()) {
            return self.refuse(format!("--{flag}"), "in lower case and with hyphens, such as --http-port");
        }
        let name = flag.replace('-', "_").to_ascii_uppercase();
        if self.values.insert(name, value).is_some() {
            self.refuse(format!("--{flag}"), "given once");
        }
    }

    fn refuse(&mut self, argument: String, right: &'static str) {
        self.errors.push(SettingError::Argument { argument, right });
    }
}

/// The names alone, since somebody may have written a secret where none belongs.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
