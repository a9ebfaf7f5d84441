use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::notation::{read_bool, read_duration, read_size, show_duration, show_size};
use super::{Asked, SettingError, Settings};

impl Settings {
    /// A TCP port to listen on.
    pub fn port(&mut self, name: &'static str, default: u16) -> u16 {
        self.parsed(name, "a port from 0 to 65535, where 0 takes a free one", default)
    }

    /// Text, or `default`.
    pub fn text(&mut self, name: &'static str, default: &str) -> String {
        self.read(name, "text".to_owned(), Some(default.to_owned()), |text| Some(text.to_owned()))
            .unwrap_or_else(|| default.to_owned())
    }

    /// Text that need not be given.
    pub fn optional_text(&mut self, name: &'static str, right: &str) -> Option<String> {
        self.read(name, right.to_owned(), None, |text| Some(text.to_owned()))
    }

    /// Text that has no default; `right` says what belongs there.
    pub fn required_text(&mut self, name: &'static str, right: &str) -> String {
        self.optional_text(name, right).unwrap_or_else(|| self.missing(name, right))
    }

    /// A whole or broken number in `range`.
    pub fn number<T>(&mut self, name: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + Display + PartialOrd,
    {
        let right = format!("a number from {} to {}", range.start(), range.end());
        let read = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        self.read(name, right, Some(default.to_string()), read).unwrap_or(default)
    }

    /// A duration with its unit, such as `250ms`, `5s` or `2m`.
    pub fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let (from, to) = (show_duration(*range.start()), show_duration(*range.end()));
        let right = format!("a duration from {from} to {to}, such as 250ms, 5s or 2m");
        let read = |text: &str| read_duration(text).filter(|duration| range.contains(duration));
        self.read(name, right, Some(show_duration(default)), read).unwrap_or(default)
    }

    /// A size in bytes with its unit, such as `64KiB`.
    pub fn size(&mut self, name: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let (from, to) = (show_size(*range.start()), show_size(*range.end()));
        let right = format!("a size from {from} to {to}, such as 64KiB or 1MiB");
        let read = |text: &str| read_size(text).filter(|size| range.contains(size));
        self.read(name, right, Some(show_size(default)), read).unwrap_or(default)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.read(name, "true or false".to_owned(), Some(default.to_string()), read_bool).unwrap_or(default)
    }

    /// One of a few words, each with its meaning; the first is the default.
    pub fn one_of<T: Copy, const N: usize>(&mut self, name: &'static str, choices: [(&str, T); N]) -> T {
        const { assert!(N > 0, "there must be something to choose") };
        let right = choices.map(|(word, _)| word).join(" or ");
        let read = |text: &str| choices.iter().find(|(word, _)| *word == text).map(|&(_, meaning)| meaning);
        self.read(name, right, Some(choices[0].0.to_owned()), read).unwrap_or(choices[0].1)
    }

    /// Whatever `read` makes of text that need not be given; `right` says in words what that is.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        right: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(name, right.to_owned(), None, read)
    }

    /// Whatever is parsed from text; `right` says in words what that is.
    pub fn parsed<T: FromStr + Display>(&mut self, name: &'static str, right: &str, default: T) -> T {
        let read = |text: &str| text.parse().ok();
        self.read(name, right.to_owned(), Some(default.to_string()), read).unwrap_or(default)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        right: String,
        default: Option<String>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.asked.insert(name, Asked { right: right.clone(), default, secret: false });
        let given = self.find(name)?;
        let value = read(&given.value);
        if value.is_none() {
            self.errors.push(SettingError::wrong(given.name, given.place, &given.value, right));
        }
        value
    }

    /// Notes that `name` must be given, and makes do with the empty value.
    pub(super) fn missing<T: Default>(&mut self, name: &str, right: &str) -> T {
        self.errors.push(SettingError::Missing { name: name.to_owned(), right: right.to_owned() });
        T::default()
    }
}
