//! NATS subjects as Server-Sent Events, and the web console on top of them.

pub mod audit;
mod caller;
pub mod feed;
pub mod login;
mod role;

pub use caller::{Caller, SessionId};
pub use role::Role;
