//! flotilla
