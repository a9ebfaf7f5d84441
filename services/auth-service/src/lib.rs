//! Logging in: sessions, and the access tokens that every service believes.
