//! Claims that this crate writes, on real nats-servers in operator mode with the full resolver.
#![allow(clippy::unwrap_used)]

mod cluster;
mod fleet;
mod push;
mod roles;
