//! The console against a real nats-server.
#![allow(clippy::unwrap_used)]

mod login;
mod server;
mod servers;
