//! The registry against a real nats-server.
#![allow(clippy::unwrap_used)]

mod api;
mod client;
mod clients;
mod collect;
mod conformance;
mod harness;
mod site;
mod storage;
mod travel;
