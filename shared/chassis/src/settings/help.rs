use std::fmt::Write as _;

use super::Settings;

impl Settings {
    /// Every setting that has been asked for, with what belongs there and its default: for `--help`.
    pub fn describe(&self) -> String {
        let width = self.asked.keys().map(|name| name.len()).max().unwrap_or_default();
        self.asked.iter().fold(String::new(), |mut text, (name, asked)| {
            let default = asked.default.as_ref().filter(|default| !default.is_empty());
            let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
            let secret = if asked.secret { format!("; or {name}_FILE") } else { String::new() };
            writeln!(text, "  {name:width$}  {}{secret}{default}", asked.right)
                .expect("writing to a string does not fail");
            text
        })
    }
}
