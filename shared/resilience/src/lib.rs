//! Mechanisms that keep a service well under load and failure.
