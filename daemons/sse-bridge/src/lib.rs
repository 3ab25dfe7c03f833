//! NATS subjects as Server-Sent Events, and the web console on top of them.

mod caller;
pub mod feed;
mod role;

pub use caller::{Caller, SessionId};
pub use role::Role;
