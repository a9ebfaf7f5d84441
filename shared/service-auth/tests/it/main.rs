//! Identities, the local authority, the handshake and access tokens, as other crates use them.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod forger;

#[cfg(test)]
mod handshake;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod local_ca;
#[cfg(test)]
mod public;
#[cfg(test)]
mod token_claims;
#[cfg(test)]
mod token_form;
#[cfg(test)]
mod token_header;
#[cfg(test)]
mod token_keys;
