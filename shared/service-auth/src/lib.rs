//! service-auth
