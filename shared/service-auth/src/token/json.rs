//! JSON of which no two readers can think differently: a name that stands twice in an object is an error, at any
//! depth (RFC 8725, section 2.4, and RFC 7515, section 4).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// An object whose names are distinct, and so are those of all objects in it.
#[derive(Debug)]
pub(super) struct Object(BTreeMap<String, Value>);

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// A number without fraction or exponent.
    Whole(i64),
    List(Vec<Self>),
    Object(Object),
    /// What nothing of ours is: null, truth, other numbers.
    Other,
}

impl Object {
    /// The object that is all of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn whole(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Whole(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> Option<&[Value]> {
        match self.get(name)? {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no object names anything twice")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other, Value::Whole))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = input.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = input.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_by_the_types_of_its_members() {
        let text =
            r#" {"text": "a\u0041", "whole": -7, "list": ["a", 1], "nested": {"text": "b"}, "none": null} "#;
        let object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!((object.text("text"), object.whole("text")), (Some("aA"), None));
        assert_eq!((object.whole("whole"), object.text("whole")), (Some(-7), None));
        assert!(matches!(object.list("list"), Some([Value::Text(_), Value::Whole(1)])));
        assert!(
            matches!(object.get("nested"), Some(Value::Object(nested)) if nested.text("text") == Some("b"))
        );
        assert!(object.text("none").is_none() && object.get("absent").is_none());
    }

    #[test]
    fn a_number_is_whole_only_when_it_is_written_so() {
        for number in ["1.0", "1e3", "-0", "9223372036854775808", "1.5", r#""1""#, "true", "null"] {
            let object = Object::parse(format!(r#"{{"n": {number}}}"#).as_bytes()).unwrap();
            assert_eq!(object.whole("n"), None, "{number}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_not_read() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
            r#"{"a": 1} {"a": 2}"#,
            r#"{"a": 1},"#,
            r#"{"a": 1,}"#,
            r#"{"a": 01}"#,
            r#"{"a": NaN}"#,
            r#"{'a': 1}"#,
            r#"{"a": "\ud800"}"#,
            "{\"a\": \"\n\"}",
            "\u{feff}{}",
            r#"["a"]"#,
            r#""a""#,
            "null",
            "",
            "{",
        ] {
            assert!(Object::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Object::parse(b"{\"a\": \"\xff\"}").is_none());
        let deep = "[".repeat(100_000);
        assert!(Object::parse(format!(r#"{{"a": {deep}"#).as_bytes()).is_none());
    }
}
