//! Paths as JSON Pointers (RFC 6901).

use std::fmt::Write as _;

use serde_path_to_error::{Path, Segment};

/// Where a value could not be read.
pub(super) fn of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_index(&mut pointer, *index),
            Segment::Map { key } => push(&mut pointer, key),
            // The tag of an enum is no step within the document where the tag is a value, as ours are.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Where a field stood that nobody read.
pub(super) fn of_ignored(path: &serde_ignored::Path<'_>) -> String {
    match path {
        serde_ignored::Path::Root => String::new(),
        serde_ignored::Path::Seq { parent, index } => {
            let mut pointer = of_ignored(parent);
            push_index(&mut pointer, *index);
            pointer
        }
        serde_ignored::Path::Map { parent, key } => {
            let mut pointer = of_ignored(parent);
            push(&mut pointer, key);
            pointer
        }
        serde_ignored::Path::Some { parent }
        | serde_ignored::Path::NewtypeStruct { parent }
        | serde_ignored::Path::NewtypeVariant { parent } => of_ignored(parent),
    }
}

/// Goes down to the member `key`.
pub(super) fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Goes down to the element `index`.
pub(super) fn push_index(pointer: &mut String, index: usize) {
    write!(pointer, "/{index}").expect("writing to a string cannot fail");
}
