use std::fmt;
use std::sync::Arc;

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line.
    Flag,
    /// In the process's environment.
    Environment,
    /// In the configuration file.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

/// One setting that is wrong, and what would be right. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SettingError {
    /// The value is not what it must be.
    #[error("{name} ({place}): must be {right}{}", instead(.given.as_deref()))]
    Wrong {
        /// The setting's name, as it stands in `place`.
        name: String,
        /// Where the value was found.
        place: Place,
        /// What was given, shortened; nothing where it is a secret or no text.
        given: Option<String>,
        /// What would be right.
        right: String,
    },
    /// The setting has no default and was not given.
    #[error("{name}: not set, must be {right}")]
    Missing {
        /// The setting's name.
        name: String,
        /// What would be right.
        right: String,
    },
    /// Two settings say the same thing.
    #[error("{name} ({place}): given together with {other}, must be one of the two")]
    Both {
        /// The one setting.
        name: String,
        /// Where it was found.
        place: Place,
        /// The other.
        other: String,
    },
    /// A secret stands where every user of the machine can read it.
    #[error("{name} (flag): every user of the machine can read it there, give {name}-file")]
    Exposed {
        /// The setting's name.
        name: String,
    },
    /// A file that a setting names cannot be read.
    #[error("{name} ({place}): cannot read {file:?}: {why}")]
    Unreadable {
        /// The setting's name, as it stands in `place`.
        name: String,
        /// Where the file's name was found.
        place: Place,
        /// The file.
        file: String,
        /// What the operating system says.
        why: String,
    },
    /// There is no such setting.
    #[error("{name} ({place}): no such setting{}", nearest(.like.as_deref()))]
    Unknown {
        /// The name that was found.
        name: String,
        /// Where it was found.
        place: Place,
        /// A name that it was probably meant to be.
        like: Option<String>,
    },
    /// The setting has no say in this place.
    #[error("{name} ({place}): {why}")]
    Misplaced {
        /// The name that was found.
        name: String,
        /// Where it was found.
        place: Place,
        /// Why, and where it belongs.
        why: &'static str,
    },
    /// The configuration file cannot be read at all, or not as TOML.
    #[error("{path}{}: {why}", at(*.line))]
    File {
        /// The file, as it was named.
        path: String,
        /// The line, from 1, when it is one line's fault.
        line: Option<usize>,
        /// What is wrong with it.
        why: String,
    },
    /// The command line cannot be read.
    #[error("{argument:?}: must be {right}")]
    Argument {
        /// The argument.
        argument: String,
        /// What would be right.
        right: &'static str,
    },
}

fn instead(given: Option<&str>) -> String {
    given.map(|given| format!(", not {given:?}")).unwrap_or_default()
}

fn nearest(like: Option<&str>) -> String {
    like.map(|name| format!(", the nearest is {name}")).unwrap_or_default()
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

impl SettingError {
    pub(super) fn wrong(
        name: impl Into<String>,
        place: Place,
        given: &str,
        right: impl Into<String>,
    ) -> Self {
        /// Enough to recognise a value by; a certificate pasted into a port is not repeated whole.
        const SHOWN: usize = 80;
        let mut shown: String = given.chars().take(SHOWN).collect();
        if shown.len() < given.len() {
            shown.push('…');
        }
        Self::Wrong { name: name.into(), place, given: Some(shown), right: right.into() }
    }
}

/// Every setting that is wrong, told at once so that they are put right at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingErrors(
    /// At least one.
    pub Vec<SettingError>,
);

impl std::error::Error for SettingErrors {}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}
