use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};

use crate::trace_context::Hex;

/// Parts of names that tell a secret. A secret should never come this far; this is the second net.
const SECRET_NAMES: [&str; 7] =
    ["password", "passphrase", "secret", "token", "authorization", "cookie", "private_key"];

/// A field's value, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// A number or a truth value, which JSON writes without quotes.
    Literal(String),
}

/// The fields of an event or a span, the last value of each name.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Those of a line that no event has made.
    pub(super) fn of_message(message: &str, (name, number): (&'static str, u64)) -> Self {
        Self(vec![("message", Value::Text(message.to_owned())), (name, Value::Literal(number.to_string()))])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Adds what `outer` has and this has not.
    pub(super) fn inherit(&mut self, outer: &Self) {
        for (name, value) in outer.iter() {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    /// The true target of an event that came by way of the `log` crate, whose own fields go away with it.
    pub(super) fn take_log_target(&mut self) -> Option<String> {
        let target = match self.get("log.target") {
            Some(Value::Text(target)) => target.clone(),
            _ => return None,
        };
        self.0.retain(|(name, _)| !name.starts_with("log."));
        Some(target)
    }

    /// Hides what goes by a secret's name. It is asked once a line is written: most spans see none.
    pub(super) fn redact(&mut self) {
        for (name, value) in &mut self.0 {
            if SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
                *value = Value::Text("[redacted]".to_owned());
            }
        }
    }

    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON has no word for infinity or for what is not a number.
        self.set(field, if value.is_finite() { Value::Literal(text) } else { Value::Text(text) });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Literal(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Literal(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Literal(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    /// Bytes are ids here, of which hex is the usual text.
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.set(field, Value::Text(Hex(value).to_string()));
    }

    /// The error and each of its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let causes = std::iter::successors(Some(value), |&error| error.source());
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        self.set(field, Value::Text(texts.join(": ")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::Text(format!("{value:?}")));
    }
}
