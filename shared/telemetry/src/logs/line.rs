use std::fmt::Write as _;

use tracing::Level;
use types::Timestamp;

use super::LogFormat;
use super::fields::{Fields, Value};

/// One event, with all that is written of it.
pub(super) struct Line<'a> {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) fields: &'a Fields,
}

/// What stands first on a JSON line, in this order; other fields follow.
const FIRST: [&str; 5] = ["message", "service", "trace_id", "span_id", "request_id"];
/// Names on a JSON line that no field may have.
const RESERVED: [&str; 3] = ["timestamp", "level", "target"];

impl Line<'_> {
    pub(super) fn render(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Human => self.human(),
            LogFormat::Json => self.json(),
        }
    }

    fn json(&self) -> String {
        let mut out = format!(r#"{{"timestamp":"{}","level":"{}""#, self.at, self.level);
        let first = FIRST.iter().filter_map(|&name| Some((name, self.fields.get(name)?)));
        let rest = self.fields.iter().filter(|(name, _)| !FIRST.contains(name));
        for (name, value) in first.chain(rest) {
            out.push(',');
            let prefix = if RESERVED.contains(&name) { "field." } else { "" };
            push_json_string(&mut out, &[prefix, name]);
            out.push(':');
            match value {
                Value::Text(text) => push_json_string(&mut out, &[text]),
                Value::Literal(text) => out.push_str(text),
            }
        }
        out.push_str(",\"target\":");
        push_json_string(&mut out, &[self.target]);
        out.push_str("}\n");
        out
    }

    /// The ids of trace and span are left out: on a terminal the request's id is enough.
    fn human(&self) -> String {
        let mut out = format!("{} {:>5} ", self.at, self.level.as_str());
        if let Some(Value::Text(service)) = self.fields.get("service") {
            push_visible(&mut out, service);
            out.push(' ');
        }
        push_visible(&mut out, self.target);
        out.push(':');
        if let Some(Value::Text(message) | Value::Literal(message)) = self.fields.get("message") {
            out.push(' ');
            push_visible(&mut out, message);
        }
        let elsewhere = ["message", "service", "trace_id", "span_id"];
        for (name, value) in self.fields.iter().filter(|(name, _)| !elsewhere.contains(name)) {
            let (Value::Text(text) | Value::Literal(text)) = value;
            out.push(' ');
            out.push_str(name);
            out.push('=');
            push_visible(&mut out, text);
        }
        out.push('\n');
        out
    }
}

fn push_json_string(out: &mut String, parts: &[&str]) {
    out.push('"');
    for char in parts.iter().flat_map(|part| part.chars()) {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // The controls that may not stand in JSON, and those that a terminal would obey.
            control if control.is_control() => push_escape(out, control),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Text without what would start another line or command the terminal: a log must not be forged.
fn push_visible(out: &mut String, text: &str) {
    for char in text.chars() {
        if char.is_control() { push_escape(out, char) } else { out.push(char) }
    }
}

fn push_escape(out: &mut String, control: char) {
    write!(out, "\\u{:04x}", u32::from(control)).expect("writing to a string cannot fail");
}
