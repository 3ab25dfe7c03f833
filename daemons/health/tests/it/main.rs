//! The health daemon beside a real nats-server.
#![allow(clippy::unwrap_used, missing_docs)]

mod daemon;
mod heartbeat;
mod node;
mod readiness;
mod uplink;
