//! Calls and proxied requests over mTLS, to servers that do whatever a test wants.

#[cfg(test)]
mod calling;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod finding;
#[cfg(test)]
mod losing;
#[cfg(test)]
mod pooling;
#[cfg(test)]
mod proxying;
#[cfg(test)]
mod repeating;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod streets;
#[cfg(test)]
mod town;
#[cfg(test)]
mod waiting;
mod witnessing;
