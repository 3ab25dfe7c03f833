//! The bridge on a real nats-server, with clients that read what is on the wire.
#![allow(clippy::unwrap_used)]

mod core;
mod event_source;
mod http;
mod limits;
mod log;
mod restart;
mod site;
mod state;
