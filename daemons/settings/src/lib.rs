//! The two files that describe a leafbox node: `fleet.toml` and `node.toml`.
//!
//! Both are strict, every default stands here and nowhere else, and all mistakes are reported at
//! once. This crate knows no NATS client and opens no connection.
//!
//! [`load()`] reads both with their overrides; [`check_file`] reads one alone.

pub mod builtin;
mod decode;
mod document;
pub mod edit;
pub mod fleet;
mod load;
pub mod names;
pub mod node;
pub mod overrides;
pub mod path;
mod problem;
pub mod repositories;
mod resolved;
mod schema;
pub mod store;
mod suggest;
mod syntax;
pub mod travel;
pub mod units;
mod validate;

pub use fleet::{Account, Fleet, HUB_DOMAIN, LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT};
pub use load::{Loaded, Sources, check_file, check_text, load};
pub use names::{Name, Subject};
pub use node::{Node, NodeRole, Registry};
pub use problem::{Problem, Problems, Severity};
pub use repositories::{Pattern, Prefix};
pub use resolved::Settings;
pub use schema::{File, schema};
pub use units::{ByteSize, Listen, Span};
pub use validate::{Facts, validate};
