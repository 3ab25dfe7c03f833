//! `/accounts`: each account as this node's nats-server has it, beside what fleet.toml declares.

mod claims;
mod gather;
mod limits;
mod list;
mod one;
mod roles;

use axum::{Router, routing::get};

use super::{Console, link};

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/accounts", get(list::show)).route("/accounts/{account}", get(one::show))
}

/// The page of an account.
fn path(account: &str) -> String {
    link::path(&["accounts", account])
}
