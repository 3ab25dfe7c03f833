//! Declared stores made real in the JetStream of one node: [`plan()`] shows what [`apply()`] would do,
//! [`prune()`] removes what is no longer declared, [`status()`] tells how stores and their travel are,
//! and [`nudge()`] wakes copies that sleep after a reconnect.
//!
//! Invariants: applying twice changes nothing the second time; nothing that holds messages is
//! deleted or replaced unless it is named; only what carries leafbox's mark is ever changed or
//! removed, and what exists without it is adopted, visibly, only when it is declared.
//!
//! Absent on purpose: account claims and connections, which `identity` and the caller have.

pub mod apply;
pub mod desired;
pub mod diff;
pub mod error;
pub mod nudge;
pub mod plan;
pub mod prune;
pub mod refusal;
pub mod resets;
pub mod status;
pub mod testing;
pub mod wire;

mod api;
mod delivery;
mod observe;
mod show;
mod travel;

pub use apply::{Applied, Healthy, apply};
pub use desired::{DesiredAccount, DesiredStore, StoreKind, desired};
pub use error::Error;
pub use nudge::{Nudge, nudge};
pub use plan::{Action, Clients, Item, ItemKind, Plan, plan};
pub use prune::{Pruned, prune};
pub use resets::{accounts_with_outboxes, answer_resets};
pub use status::{StoreStatus, status};
