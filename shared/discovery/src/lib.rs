//! Where the instances of a service are: registered, and watched as they change.
