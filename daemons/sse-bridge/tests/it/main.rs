//! The console against a real nats-server.
#![allow(clippy::unwrap_used)]

mod daemon;
mod login;
mod pages;
mod server;
mod servers;
