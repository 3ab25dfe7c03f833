//! The two files that describe a leafbox node: `fleet.toml` and `node.toml`.
//!
//! Both are strict, every default stands here and nowhere else, and all mistakes are reported at
//! once. This crate knows no NATS client and opens no connection.

pub mod builtin;
pub mod fleet;
pub mod names;
pub mod node;
pub mod store;
pub mod travel;
pub mod units;

pub use fleet::{Account, Fleet, HUB_DOMAIN, LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT};
pub use names::{Name, Subject};
pub use node::{Node, NodeRole};
pub use units::{ByteSize, Listen, Span};
