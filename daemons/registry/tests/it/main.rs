//! The registry against a real nats-server.
#![allow(clippy::unwrap_used)]

mod access;
mod api;
mod audit;
mod client;
mod clients;
mod collect;
mod conformance;
mod daemon;
mod harness;
mod ko;
mod site;
mod storage;
mod travel;
