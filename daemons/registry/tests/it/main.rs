//! The registry against a real nats-server.
#![allow(clippy::unwrap_used)]

mod collect;
mod harness;
mod storage;
mod travel;
