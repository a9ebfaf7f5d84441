//! What JSON allows and we do not, wherever it stands: a name twice in one object, U+0000, great depth.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use types::FieldError;

use super::pointer;

/// Deeper than any request of ours, and shallow enough for every reader's stack.
const DEEPEST: usize = 32;

/// Looks over one JSON value; what is forbidden in it is left in `found`.
pub(super) struct Overseer<'a> {
    pointer: &'a mut String,
    depth: usize,
    found: &'a mut Option<FieldError>,
}

impl<'a> Overseer<'a> {
    pub(super) fn new(pointer: &'a mut String, found: &'a mut Option<FieldError>) -> Self {
        Self { pointer, depth: 0, found }
    }

    fn refuse<E: Error>(&mut self, detail: impl Into<String>) -> E {
        *self.found = Some(FieldError { pointer: self.pointer.clone(), detail: detail.into() });
        E::custom("refused")
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        // PostgreSQL's text cannot hold it, so nothing of ours may.
        if text.contains('\0') { Err(self.refuse("must not contain U+0000")) } else { Ok(()) }
    }

    fn deeper<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        let too_deep = self.depth > DEEPEST;
        if too_deep { Err(self.refuse(format!("must not be nested deeper than {DEEPEST}"))) } else { Ok(()) }
    }

    fn inner(&mut self) -> Overseer<'_> {
        Overseer { pointer: self.pointer, depth: self.depth, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Overseer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Overseer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.deeper()?;
        let here = self.pointer.len();
        for index in 0.. {
            pointer::push_index(self.pointer, index);
            if elements.next_element_seed(self.inner())?.is_none() {
                break;
            }
            self.pointer.truncate(here);
        }
        self.pointer.truncate(here);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.deeper()?;
        let here = self.pointer.len();
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            pointer::push(self.pointer, &name);
            self.text(&name)?;
            if !names.insert(name) {
                return Err(self.refuse("must not be given twice"));
            }
            members.next_value_seed(self.inner())?;
            self.pointer.truncate(here);
        }
        Ok(())
    }
}
