//! What the console shows of servers: a hub, a leaf that is linked to it, and a console beside each.

mod accounts;
mod api;
mod connections;
mod events;
pub(crate) mod fleet;
mod topology;
