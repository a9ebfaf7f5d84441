//! The only way to call another service.
