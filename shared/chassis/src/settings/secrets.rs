use std::io;
use std::io::Read as _;

use secrecy::SecretString;

use super::{Asked, Given, Layer, Place, SettingError, Settings};

/// Longer than any key or password, short enough that `/dev/zero` does no harm.
const LONGEST: u64 = 64 * 1024;

impl Settings {
    /// A secret: `NAME`, or the content of the file that `NAME_FILE` names, without its last line break.
    pub fn secret(&mut self, name: &'static str, right: &str) -> Option<SecretString> {
        self.secret_at(name, right).map(|(secret, _)| secret)
    }

    /// A secret that has no default.
    pub fn required_secret(&mut self, name: &'static str, right: &str) -> SecretString {
        let errors = self.errors.len();
        self.secret(name, right).unwrap_or_else(|| {
            // One that is given and unreadable has been reported as that.
            if self.errors.len() == errors {
                self.missing::<()>(name, right);
            }
            SecretString::default()
        })
    }

    /// A secret and the place that its wrongness is reported with.
    pub(super) fn secret_at(&mut self, name: &'static str, right: &str) -> Option<(SecretString, Secret)> {
        self.asked.insert(name, Asked { right: right.to_owned(), default: None, secret: true });
        Layer::ALL.into_iter().find_map(|layer| self.secret_in(layer, name))
    }

    fn secret_in(&mut self, layer: Layer, name: &'static str) -> Option<(SecretString, Secret)> {
        let (direct, file) = (self.look_in(layer, name), self.look_in(layer, &file_of(name)));
        match (direct, file) {
            (None, None) => None,
            (Some(Given { place: Place::Flag, name, .. }), _) => self.refuse(SettingError::Exposed { name }),
            (Some(given), None) => {
                Some((given.value.into(), Secret { name: given.name, place: given.place }))
            }
            (None, Some(file)) => self.read_secret(file),
            (Some(one), Some(other)) => {
                self.refuse(SettingError::Both { name: one.name, place: one.place, other: other.name })
            }
        }
    }

    fn read_secret(&mut self, file: Given) -> Option<(SecretString, Secret)> {
        let Given { name, value: path, place } = file;
        match read_file(&path) {
            Ok(secret) => Some((secret, Secret { name, place })),
            Err(error) => {
                self.refuse(SettingError::Unreadable { name, place, file: path, why: error.to_string() })
            }
        }
    }

    fn refuse(&mut self, error: SettingError) -> Option<(SecretString, Secret)> {
        self.errors.push(error);
        None
    }
}

/// A secret's name and place, without the secret.
pub(super) struct Secret {
    name: String,
    place: Place,
}

impl Secret {
    pub(super) fn wrong(self, right: impl Into<String>) -> SettingError {
        SettingError::Wrong { name: self.name, place: self.place, given: None, right: right.into() }
    }

    /// That it is given together with something that says the same.
    pub(super) fn beside(&self, other: &str) -> SettingError {
        SettingError::Both { name: self.name.clone(), place: self.place.clone(), other: other.to_owned() }
    }
}

pub(super) fn file_of(name: &str) -> String {
    format!("{name}_FILE")
}

/// The secret in a file.
pub(super) fn read_file(path: &str) -> io::Result<SecretString> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    let secret = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
    }
    Ok(secret.into())
}
