//! NATS subjects as Server-Sent Events, and the web console on top of them.

pub mod audit;
mod caller;
mod config;
mod connections;
mod console;
pub mod feed;
pub mod login;
mod role;
mod run;
pub mod signing;

pub use caller::{Caller, SessionId};
pub use config::Config;
pub use connections::{ConnectPlan, Connections};
pub use role::Role;
pub use run::{RunError, SERVICE, run, tls};
