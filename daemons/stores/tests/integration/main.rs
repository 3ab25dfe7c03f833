//! Stores on real nats-servers: plan, apply, prune, and travel across a link that is cut.

#![allow(clippy::unwrap_used, missing_docs)]

mod applying;
mod both_ways;
mod buckets;
mod catching_up;
mod nudging;
mod proxy;
mod pruning;
mod refusing;
mod resets;
mod servers;
mod speed;
mod travelling;
