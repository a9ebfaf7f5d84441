//! One text for everything that discovers.

#[cfg(test)]
mod conformance;
