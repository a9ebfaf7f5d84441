use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Place, SettingError};

/// Longer than any configuration by far, short enough that `/dev/zero` does no harm.
const LONGEST: u64 = 1024 * 1024;

/// `flotilla.toml`: the environment's names in lower case, and a section for each service that overrides them.
///
/// ```toml
/// log_level = "info"
///
/// [user-service]
/// http_port = 3001
/// ```
#[derive(Clone, Default)]
pub struct ConfigFile {
    entries: Vec<Entry>,
    pub(super) sections: Vec<(String, Place)>,
    pub(super) errors: Vec<SettingError>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) section: Option<String>,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) place: Place,
}

impl ConfigFile {
    /// The name of the file that is read when no other is named.
    pub const NAME: &str = "flotilla.toml";

    /// Reads the file at `path`; one that cannot be read is reported with the other errors.
    pub fn read(path: &Path) -> Self {
        let name = path.display().to_string();
        match read_text(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Self::unreadable(name, &error),
        }
    }

    /// Reads [`ConfigFile::NAME`] in the working directory, where there is one.
    pub fn read_default() -> Self {
        match read_text(Path::new(Self::NAME)) {
            Ok(text) => Self::parse(Self::NAME, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => Self::unreadable(Self::NAME.to_owned(), &error),
        }
    }

    /// Reads `text`; `path` names it in reports.
    pub fn parse(path: &str, text: &str) -> Self {
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut reader = Reader { path: path.into(), text, file: Self::default() };
        for error in errors {
            let line = error.span().map(|span| reader.line(span.start));
            let why = error.message().to_owned();
            reader.file.errors.push(SettingError::File { path: path.to_owned(), line, why });
        }
        reader.table(None, table.get_ref());
        reader.file
    }

    /// The entry for `name` at the top level, or in the section of a service.
    pub(super) fn get(&self, section: Option<&str>, name: &str) -> Option<&Entry> {
        let key = name.to_ascii_lowercase();
        self.entries.iter().find(|entry| entry.section.as_deref() == section && entry.key == key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn unreadable(path: String, error: &io::Error) -> Self {
        let error = SettingError::File { path, line: None, why: format!("cannot be read: {error}") };
        Self { errors: vec![error], ..Self::default() }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    // The one byte more tells what is too long from what is just long enough.
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        let why = format!("it has more than {LONGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

struct Reader<'a> {
    path: Arc<str>,
    text: &'a str,
    file: ConfigFile,
}

impl Reader<'_> {
    fn table(&mut self, section: Option<&str>, table: &DeTable<'_>) {
        for (key, value) in table {
            let place = self.place(key);
            match value.get_ref() {
                DeValue::Table(inner) if section.is_none() => {
                    self.file.sections.push((key.get_ref().to_string(), place));
                    self.table(Some(key.get_ref()), inner);
                }
                value => self.entry(section, key.get_ref(), value, place),
            }
        }
    }

    fn entry(&mut self, section: Option<&str>, key: &str, value: &DeValue<'_>, place: Place) {
        let value = match value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(answer) => answer.to_string(),
            other => {
                let right = "text in quotes, a decimal number, true or false";
                self.file.errors.push(SettingError::wrong(key, place, other.type_str(), right));
                return;
            }
        };
        let section = section.map(str::to_owned);
        self.file.entries.push(Entry { section, key: key.to_owned(), value, place });
    }

    fn place<T>(&self, key: &Spanned<T>) -> Place {
        Place::File { path: Arc::clone(&self.path), line: self.line(key.span().start) }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// The keys alone: among the values may be secrets.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.iter().map(|entry| &entry.key)).finish()
    }
}
