//! Identities, the local authority and the handshake, as other crates use them.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod ends;

#[cfg(test)]
mod handshake;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod local_ca;
#[cfg(test)]
mod public;
