//! The gateway as a stranger meets it, before services that do what a test needs of them. Time moves only when
//! nothing else can.

#[cfg(test)]
mod answering;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod closed;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod issuer;
#[cfg(test)]
mod knowing;
#[cfg(test)]
mod limiting;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod odd;
#[cfg(test)]
mod over_http2;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod town;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod visitor;
