//! The supervisor on the real nats-server.
#![allow(clippy::unwrap_used, missing_docs)]

mod binary;
mod mending;
mod process;
mod servers;
mod supervise;
