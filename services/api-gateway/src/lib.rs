//! The way in: routes requests from outside to the services.
